"""Submissions that travel together: the body of a request that brings several, whole with their short attachments.

For each submission the number of its parts, then every part behind its length: the envelope first, its attachments
after it. Numbers have four bytes, the highest first. An attachment has no name: the envelope names it by its digest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.errors import CongvanError, Rejected, Unavailable
from schemas.limits import MIB
from transport.problems import error_in
from transport.wire import Acknowledgement, SubmissionAnswer, SubmissionResult, SubmissionsAnswer

#: What one request brings at most.
MOST: Final = 32
BATCH_BYTES: Final = 1 * MIB

_NUMBER: Final = 4


@dataclass(frozen=True, slots=True)
class BroughtSubmission:
    """A sealed envelope, with the bytes of every attachment that it names."""

    envelope: bytes
    attachments: Sequence[bytes] = ()

    @property
    def size(self) -> int:
        """Bytes that it takes in a request."""
        parts = (self.envelope, *self.attachments)
        return _NUMBER * (1 + len(parts)) + sum(map(len, parts))


def write_batch(submissions: Sequence[BroughtSubmission]) -> bytes:
    """The body that brings `submissions`, in their order."""
    written: list[bytes] = []
    for each in submissions:
        parts = (each.envelope, *each.attachments)
        written.append(_number(len(parts)))
        for part in parts:
            written += (_number(len(part)), part)
    return b"".join(written)


def read_batch(body: bytes) -> list[BroughtSubmission]:
    """The submissions in `body`; raises `request-malformed` if it is of another form, or brings more than `MOST`."""
    reading = _Reading(body)
    found: list[BroughtSubmission] = []
    while reading.is_left:
        if len(found) == MOST:
            raise _malformed(f"it brings more than {MOST} submissions")
        parts = list(reading.parts())
        if not parts:
            raise _malformed("a submission has no part")
        found.append(BroughtSubmission(parts[0], parts[1:]))
    return found


def results_in(answer: SubmissionsAnswer, count: int) -> list[SubmissionAnswer | CongvanError]:
    """What each of `count` submissions would have been answered by itself, or the error of it; in their order.

    Raises Unavailable (`hub-answer`) if the answer has another number of results.
    """
    if len(answer.results) != count:
        raise Unavailable("hub-answer", f"The hub answers {count} submissions with {len(answer.results)} results.")
    return [_result(each, answer.proofs) for each in answer.results]


def _result(result: SubmissionResult, proofs: Mapping[str, bytes]) -> SubmissionAnswer | CongvanError:
    if result.answer is not None:
        named = result.acknowledgement
        if named is None:
            return result.answer
        acknowledgement = Acknowledgement(receipt=named.receipt, proof=proofs.get(named.proof, b""))
        return result.answer.model_copy(update={"acknowledgement": acknowledgement})
    if result.problem is None:
        return Unavailable("hub-answer", "The hub says nothing of a submission.")
    error = error_in(result.problem)
    if isinstance(error, Unavailable):
        error.retry_after = result.retry_after
    return error


class _Reading:
    """A body, read from its beginning on."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def is_left(self) -> bool:
        return self._at < len(self._body)

    def parts(self) -> Iterator[bytes]:
        for _ in range(int.from_bytes(self._take(_NUMBER))):
            yield self._take(int.from_bytes(self._take(_NUMBER)))

    def _take(self, length: int) -> bytes:
        taken = self._body[self._at : self._at + length]
        if len(taken) < length:
            raise _malformed("it ends in the middle")
        self._at += length
        return taken


def _number(value: int) -> bytes:
    return value.to_bytes(_NUMBER)


def _malformed(fault: str) -> Rejected:
    return Rejected("request-malformed", f"The batch of submissions is malformed: {fault}.")
