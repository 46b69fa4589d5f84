"""Documents as these tests send them."""

from __future__ import annotations

from dataclasses import replace

from schemas.codes import AgencyCode
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
    ResponseFor,
    SignerInfo,
    StatusCode,
    StatusMessage,
)
from schemas.times import DateText, TimestampText


def document(sender: str, *recipients: str, number: int, priority: Priority = Priority.NORMAL) -> Document:
    return Document(
        sender=Organ(organ_id=AgencyCode(sender), organ_name=sender),
        recipients=tuple(Organ(organ_id=AgencyCode(code)) for code in recipients),
        document_id=f"{sender},2026/11/21,{number}/VP",
        code=DocumentCode(number=str(number), notation="VP"),
        promulgation=PromulgationInfo(place="Hà Nội", date=DateText("2026/11/21")),
        document_type=DocumentType(type=2, type_detail=18, type_name="Công văn"),
        subject=f"V/v văn bản số {number}",
        content="Báo cáo",
        signer=SignerInfo(full_name="Nguyễn Thị Lan"),
        other_info=OtherInfo(priority=priority),
        trace=(),
    )


def recall(original: Document, number: int) -> Document:
    """A recall of `original` by its sender, to the same recipients."""
    sender = original.sender.organ_id.value
    recipients = [organ.organ_id.value for organ in original.recipients]
    return replace(
        document(sender, *recipients, number=number),
        response_for=(ResponseFor(organ_id=original.sender.organ_id, document_id=original.document_id),),
        business=Business(type=BusinessType.RECALL, reason="Thu hồi", paper=False),
    )


def status(sender: str, of: Document, code: StatusCode = StatusCode.ACCEPTED) -> StatusMessage:
    return StatusMessage(
        sender=Organ(organ_id=AgencyCode(sender)),
        response_for=ResponseFor(organ_id=of.sender.organ_id, document_id=of.document_id),
        status_code=code,
        description="Đã tiếp nhận",
        timestamp=TimestampText("2026/11/21 16:05:10"),
    )
