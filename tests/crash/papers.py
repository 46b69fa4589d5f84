"""What a letter looks like to each kind of software: metadata, a classic file; and a status as a classic file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from schemas.codes import AgencyCode
from schemas.message import Organ, ResponseFor, StatusCode, StatusMessage
from schemas.metadata import AttachmentFacts, document_from_metadata
from schemas.times import TimestampText
from tests.adapters.classic import classic_bytes
from tests.crash.load import Letter, attachments, document_id_of

#: The same whenever it is written: a vxp adapter knows what it had before by its bytes.
_WRITTEN: Final = datetime(2026, 11, 22, 2, tzinfo=UTC)
#: Why a letter is returned, and why one is taken back, replaced or updated.
REASON: Final = "Không thuộc thẩm quyền"
_BUSINESS_REASON: Final = "Ban hành nhầm"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status that the agency `giver` gives about the document of `sender`, which came as the message `about`."""

    giver: str
    document_id: str
    sender: str
    status: str
    about: str

    @property
    def name(self) -> str:
        number = self.document_id.rpartition(",")[2].partition("/")[0]
        return f"answer-{number}-{self.status}.edxml"

    @property
    def reason(self) -> str | None:
        """What a refusal needs."""
        return REASON if self.status == StatusCode.REFUSED else None


def metadata_of(letter: Letter) -> dict[str, Any]:
    """The keys of document metadata (docs/adapters/filedrop.md), as JSON holds them."""
    mark = "TỐI MẬT " if letter.is_marked else ""
    written: dict[str, Any] = {
        "from": letter.sender,
        "subject": f"{mark}Văn bản số {letter.number}",
        "code": f"{letter.number}/CRASH",
        "document_id": letter.document_id,
        "place": "Hà Nội",
        "date": "2026-11-22",
        "to": list(letter.recipients),
        "priority": letter.priority,
        "signer": "Nguyễn Thị Lan",
    }
    if letter.amends is None:
        return written
    before = document_id_of(letter.sender, letter.amends)
    written["business"] = {"type": letter.business, "reason": _BUSINESS_REASON}
    match letter.business:
        case "recall":
            written["response_for"] = [{"organ_id": letter.sender, "document_id": before}]
        case "update":
            written["business"]["document_id"] = before
        case "replace":
            written["business"]["replacements"] = [{"document_id": before, "organ_ids": list(letter.recipients)}]
    return written


def classic_letter(letter: Letter, seed: int) -> bytes:
    """The letter with its attachments as one classic file, the same bytes each time."""
    contents = dict(attachments(letter, seed))
    document = document_from_metadata(
        metadata_of(letter),
        sender=Organ(organ_id=AgencyCode.parse(letter.sender)),
        recipients=(),
        now=_WRITTEN,
        attachments=[_facts(name, content) for name, content in contents.items()],
    )
    return classic_bytes(document, contents)


def classic_status(answer: Answer) -> bytes:
    """The status as a classic file, which knows the document by its DocumentId alone."""
    message = StatusMessage(
        sender=Organ(organ_id=AgencyCode.parse(answer.giver)),
        response_for=ResponseFor(
            organ_id=AgencyCode.parse(answer.sender),
            code=answer.document_id.rpartition(",")[2],
            document_id=answer.document_id,
        ),
        status_code=StatusCode(answer.status),
        description=answer.reason,
        timestamp=TimestampText.of(_WRITTEN),
    )
    return classic_bytes(message, {})


def digests_of(contents: Mapping[str, bytes]) -> tuple[str, ...]:
    return tuple(hashlib.sha256(content).hexdigest() for content in contents.values())


def _facts(name: str, content: bytes) -> AttachmentFacts:
    digest = hashlib.sha256(content).hexdigest()
    return AttachmentFacts(name=name, digest=digest, size=len(content), content_type="application/pdf")
