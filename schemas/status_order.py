"""What the statuses are called, and in which order an agency gives them (docs/business.md holds the table).

QCVN 102:2016 lists the codes and says nothing of their order; this one is that of a clerk's work. It binds what an
agency of ours says. What others say is taken in any order (real writers leave out 01), and `stage_of` keeps where a
document stands from going backwards by it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.message import StatusCode


class StatusName(NamedTuple):
    """A status in the words of an office and in English."""

    vietnamese: str
    english: str


STATUS_NAMES: Final = {
    StatusCode.ARRIVED: StatusName("đã đến", "arrived"),
    StatusCode.REFUSED: StatusName("từ chối tiếp nhận", "refused"),
    StatusCode.ACCEPTED: StatusName("đã tiếp nhận", "accepted"),
    StatusCode.ASSIGNED: StatusName("đã phân công xử lý", "assigned"),
    StatusCode.PROCESSING: StatusName("đang xử lý", "in processing"),
    StatusCode.FINISHED: StatusName("đã hoàn thành", "finished"),
    StatusCode.TAKEN_BACK: StatusName("lấy lại", "taken back by its sender"),
    StatusCode.REQUEST_AGREED: StatusName("đồng ý thu hồi, cập nhật", "recall or update agreed"),
    StatusCode.REQUEST_REFUSED: StatusName("từ chối thu hồi, cập nhật", "recall or update refused"),
}

#: The answers to a recall or an update.
ANSWERS: Final = frozenset({StatusCode.REQUEST_AGREED, StatusCode.REQUEST_REFUSED})

#: What nobody understands without a reason.
NEEDS_REASON: Final = frozenset({StatusCode.REFUSED, StatusCode.REQUEST_REFUSED})

_WORK: Final = (StatusCode.ASSIGNED, StatusCode.PROCESSING, StatusCode.FINISHED)
_TAKEN: Final = (StatusCode.REFUSED, StatusCode.ACCEPTED, *_WORK)

#: About a document: by the last status given (None: none yet), those that may follow. Software leaves steps out, and
#: an office may return a document until it has finished it; nobody goes back, or on after an end.
_OF_DOCUMENT: Final[dict[StatusCode | None, tuple[StatusCode, ...]]] = {
    None: (StatusCode.ARRIVED, *_TAKEN),
    StatusCode.ARRIVED: _TAKEN,
    StatusCode.ACCEPTED: _TAKEN,
    StatusCode.ASSIGNED: (StatusCode.REFUSED, *_WORK),
    StatusCode.PROCESSING: (StatusCode.REFUSED, *_WORK),
}

#: About a recall or an update: it is accepted or not, and then answered once.
_ANSWER: Final = (StatusCode.REFUSED, StatusCode.REQUEST_AGREED, StatusCode.REQUEST_REFUSED)
_OF_REQUEST: Final[dict[StatusCode | None, tuple[StatusCode, ...]]] = {
    None: (StatusCode.ARRIVED, StatusCode.ACCEPTED, *_ANSWER),
    StatusCode.ARRIVED: (StatusCode.ACCEPTED, *_ANSWER),
    StatusCode.ACCEPTED: _ANSWER,
}

#: Nothing follows what has come this far.
FINAL_STAGE: Final = 4

#: How far a document has come by its last status. Assigned and in processing may alternate.
_STAGES: Final = {
    StatusCode.ARRIVED: 1,
    StatusCode.ACCEPTED: 2,
    StatusCode.ASSIGNED: 3,
    StatusCode.PROCESSING: 3,
    StatusCode.FINISHED: FINAL_STAGE,
    StatusCode.REFUSED: FINAL_STAGE,
    StatusCode.REQUEST_AGREED: FINAL_STAGE,
    StatusCode.REQUEST_REFUSED: FINAL_STAGE,
}


def may_follow(last: StatusCode | None, *, on_request: bool) -> tuple[StatusCode, ...]:
    """The statuses that a recipient may give after `last` about a document; `on_request`: about a recall or update."""
    return (_OF_REQUEST if on_request else _OF_DOCUMENT).get(last, ())


def stage_of(status: StatusCode) -> int:
    """How far a recipient's status says the document has come: 1 arrived … 4 the end; 0 for 13, the sender's."""
    return _STAGES.get(status, 0)


def status_words(status: StatusCode) -> str:
    """The status for a sentence: `06 đã hoàn thành (finished)`."""
    name = STATUS_NAMES[status]
    return f"{status} {name.vietnamese} ({name.english})"
