"""The documents of the benchmark: one letter with one attachment, the same but for its number."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from adapters.sdk import OutgoingAttachment, Submission
from certs.sealing import seal
from certs.sealing_key import SealingKey
from schemas.codes import AgencyCode
from schemas.envelope import CONTENT_ID_PREFIX, AttachmentSize, Envelope, Extension
from schemas.limits import KIB
from schemas.message import (
    Document,
    DocumentCode,
    DocumentType,
    Organ,
    OtherInfo,
    Priority,
    PromulgationInfo,
    Reference,
    SignerInfo,
    TraceHeader,
)
from schemas.times import DateText, TimestampText

SENDER: Final = "G22"
RECIPIENT: Final = "H23"

#: The attachment of one document, in bytes. Random: it cannot be compressed, and no two are the same.
SIZE: Final = 10 * KIB

_FILE: Final = "van-ban.pdf"
_TYPE: Final = "application/pdf"
_SUBJECT: Final = "Văn bản số "


def letter(number: int, to: Sequence[str] = (RECIPIENT,), priority: Priority = Priority.NORMAL) -> Document:
    return Document(
        sender=Organ(organ_id=AgencyCode(SENDER), organ_name="Văn phòng Chính phủ"),
        recipients=tuple(Organ(organ_id=AgencyCode(code)) for code in to),
        document_id=f"{SENDER},2026/11/21,{number}/BENCH",
        code=DocumentCode(number=str(number), notation="BENCH"),
        promulgation=PromulgationInfo(place="Hà Nội", date=DateText("2026/11/21")),
        document_type=DocumentType(type=2, type_detail=18, type_name="Công văn"),
        subject=f"{_SUBJECT}{number}",
        content="Đề nghị các địa phương báo cáo kết quả gửi, nhận văn bản điện tử",
        signer=SignerInfo(full_name="Nguyễn Thị Lan"),
        other_info=OtherInfo(priority=priority),
        trace=(),
    )


def number_of(document: Document) -> int:
    """Which `letter` it is."""
    return int((document.subject or "").removeprefix(_SUBJECT))


def submission(
    folder: Path, number: int, *, size: int, to: Sequence[str] = (RECIPIENT,), priority: Priority = Priority.NORMAL
) -> Submission:
    """`letter(number)` with a new attachment of `size` bytes, written into `folder`, as software hands it to a node."""
    path = folder / f"{number}.pdf"
    with path.open("wb") as file:
        for start in range(0, size, _PIECE):
            file.write(os.urandom(min(_PIECE, size - start)))
    attachment = OutgoingAttachment(name=_FILE, content_type=_TYPE, description="", path=path)
    key = f"bench-{number}"
    return Submission(
        key=key,
        fingerprint=hashlib.sha256(key.encode()).hexdigest(),
        message=letter(number, to, priority),
        attachments=(attachment,),
    )


_PIECE: Final = 1024 * KIB


def sealed(number: int, key: SealingKey, attachment: bytes | None = None) -> bytes:
    """`letter(number)` sealed by `key` as a node seals it, naming `attachment` if there is one."""
    now = datetime.now(UTC)
    document = replace(
        letter(number), trace=(TraceHeader(organ_id=AgencyCode(SENDER), timestamp=TimestampText.of(now)),)
    )
    sizes = ()
    if attachment is not None:
        digest = hashlib.sha256(attachment).hexdigest()
        reference = Reference(
            content_id=CONTENT_ID_PREFIX + digest, content_type=_TYPE, attachment_name=_FILE, description=""
        )
        document = replace(document, references=(reference,))
        sizes = (AttachmentSize(digest, len(attachment)),)
    extension = Extension(submission_id=f"bench-{number}", attachment_sizes=sizes)
    return seal(Envelope(document, extension), key, now).data
