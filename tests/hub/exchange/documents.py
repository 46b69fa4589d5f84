"""Messages as tests send them: each builder makes a whole envelope, and what a test is about is its argument."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from datetime import datetime

from schemas.codes import AgencyCode
from schemas.envelope import AttachmentSize, Envelope, Extension, SecrecyLevel, Selector
from schemas.message import (
    Business,
    BusinessType,
    Document,
    DocumentCode,
    DocumentType,
    Organ,
    OtherInfo,
    Priority,
    PromulgationInfo,
    Reference,
    ResponseFor,
    SignerInfo,
    StatusCode,
    StatusMessage,
    TraceHeader,
)
from schemas.times import DateText, TimestampText

_SUBMISSIONS = itertools.count(1)


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def document(
    sender: str,
    *recipients: str,
    subject: str = "V/v báo cáo kết quả gửi, nhận văn bản điện tử",
    priority: Priority = Priority.NORMAL,
    attachments: Sequence[bytes] = (),
    sizes: dict[str, int] | None = None,
    selectors: tuple[Selector, ...] = (),
    secrecy: SecrecyLevel | None = None,
    expires_at: datetime | None = None,
    business: BusinessType = BusinessType.NEW,
    about: tuple[str, ...] = (),
) -> Envelope:
    """A document; `sizes` says other lengths of attachments than the true ones, by digest."""
    contents = {digest_of(content): len(content) for content in attachments} | (sizes or {})
    return Envelope(
        Document(
            sender=Organ(organ_id=AgencyCode(sender)),
            recipients=tuple(Organ(organ_id=AgencyCode(code)) for code in recipients),
            document_id=f"{sender},2026/11/20,6101/VPCP-KSTT",
            code=DocumentCode(number="6101", notation="VPCP-KSTT"),
            promulgation=PromulgationInfo(place="Hà Nội", date=DateText("2026/11/20")),
            document_type=DocumentType(type=2, type_detail=18, type_name="Công văn"),
            subject=subject,
            content=subject,
            signer=SignerInfo(full_name="Nguyễn Thị Lan"),
            other_info=OtherInfo(priority=priority),
            trace=(TraceHeader(organ_id=AgencyCode(sender), timestamp=TimestampText("2026/11/20 08:00:00")),),
            business=None
            if business is BusinessType.NEW
            else Business(type=business, reason="Văn bản ban hành nhầm", paper=False),
            references=tuple(
                Reference(
                    content_id=f"sha256-{digest}",
                    content_type="application/pdf",
                    attachment_name=f"{number}.pdf",
                    description="Văn bản",
                )
                for number, digest in enumerate(contents, 1)
            ),
        ),
        Extension(
            submission_id=f"submission-{next(_SUBMISSIONS)}",
            about=about,
            selectors=selectors,
            secrecy=secrecy,
            expires_at=expires_at,
            attachment_sizes=tuple(AttachmentSize(digest, size) for digest, size in contents.items()),
        ),
    )


def status(sender: str, code: StatusCode, *about: str) -> Envelope:
    """A status message about the message that `about` names."""
    return Envelope(
        StatusMessage(
            sender=Organ(organ_id=AgencyCode(sender)),
            response_for=ResponseFor(document_id="G22,2026/11/20,6101/VPCP-KSTT"),
            status_code=code,
            description="Văn thư đã tiếp nhận",
            timestamp=TimestampText("2026/11/20 09:00:00"),
        ),
        Extension(submission_id=f"submission-{next(_SUBMISSIONS)}", about=about),
    )
