"""A document, a status and their envelopes, small and complete, for tests that change one thing in them."""

from __future__ import annotations

from schemas.codes import AgencyCode
from schemas.envelope import CONTENT_ID_PREFIX, AttachmentSize, Envelope, Extension
from schemas.message import (
    Document,
    DocumentCode,
    DocumentType,
    Organ,
    PromulgationInfo,
    Reference,
    ResponseFor,
    SignerInfo,
    StatusCode,
    StatusMessage,
    TraceHeader,
)
from schemas.times import DateText, TimestampText

DIGEST = "3a" * 32
OTHER_DIGEST = "7f" * 32


def organ(code: str, name: str | None = None) -> Organ:
    return Organ(organ_id=AgencyCode(code), organ_name=name)


def reference(digest: str, name: str) -> Reference:
    return Reference(
        content_id=CONTENT_ID_PREFIX + digest, content_type="application/pdf", attachment_name=name, description=name
    )


DOCUMENT = Document(
    sender=organ("G22", "Văn phòng Chính phủ"),
    recipients=(organ("H23", "UBND tỉnh Hải Dương"), organ("000.00.00.H31", "UBND tỉnh Hưng Yên")),
    document_id="G22,2026/11/02,6111/VPCP-KSTT",
    code=DocumentCode(number="6111", notation="VPCP-KSTT"),
    promulgation=PromulgationInfo(place="Hà Nội", date=DateText("2026/11/02")),
    document_type=DocumentType(type=2, type_detail=18, type_name="Công văn"),
    subject="V/v gửi, nhận văn bản điện tử",
    content="Đề nghị báo cáo kết quả",
    signer=SignerInfo(full_name="Người Ký Mẫu"),
    trace=(TraceHeader(organ_id=AgencyCode("G22"), timestamp=TimestampText("2026/11/02 15:30:39")),),
    references=(reference(DIGEST, "6111.pdf"),),
)

STATUS = StatusMessage(
    sender=organ("H23"),
    response_for=ResponseFor(organ_id=AgencyCode("G22"), document_id=DOCUMENT.document_id),
    status_code=StatusCode.ARRIVED,
    timestamp=TimestampText("2026/11/02 15:31:00"),
)

DOCUMENT_ENVELOPE = Envelope(DOCUMENT, Extension(submission_id="s-1", attachment_sizes=(AttachmentSize(DIGEST, 7),)))
STATUS_ENVELOPE = Envelope(STATUS, Extension(submission_id="s-2", about=(OTHER_DIGEST,)))
