"""Status messages about a document, as this node writes them."""

from __future__ import annotations

from datetime import datetime

from schemas.codes import AgencyCode
from schemas.message import Document, Organ, ResponseFor, StaffInfo, StatusCode, StatusMessage
from schemas.times import TimestampText

#: What people read where no description was given.
_DESCRIPTIONS = {
    StatusCode.ARRIVED: "Văn bản đã đến",
    StatusCode.REFUSED: "Từ chối tiếp nhận văn bản",
    StatusCode.ACCEPTED: "Đã tiếp nhận văn bản",
    StatusCode.ASSIGNED: "Đã phân công xử lý văn bản",
    StatusCode.PROCESSING: "Đang xử lý văn bản",
    StatusCode.FINISHED: "Đã hoàn thành xử lý văn bản",
    StatusCode.TAKEN_BACK: "Lấy lại văn bản",
    StatusCode.REQUEST_AGREED: "Đồng ý với yêu cầu",
    StatusCode.REQUEST_REFUSED: "Không đồng ý với yêu cầu",
}


def status_about(
    document: Document,
    status: StatusCode,
    *,
    sender: AgencyCode,
    sender_name: str | None,
    at: datetime,
    description: str | None = None,
    staff: StaffInfo | None = None,
) -> StatusMessage:
    """What `sender` says of `document` at the time `at`; without a description, the usual words."""
    return StatusMessage(
        sender=Organ(organ_id=sender, organ_name=sender_name),
        response_for=ResponseFor(
            organ_id=document.sender.organ_id,
            code=f"{document.code.number}/{document.code.notation}",
            promulgation_date=document.promulgation.date,
            document_id=document.document_id,
        ),
        staff=staff,
        status_code=status,
        description=description or _DESCRIPTIONS[status],
        timestamp=TimestampText.of(at),
    )
