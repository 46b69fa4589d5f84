"""`summary.txt`: what arrived, for a person to read, in Vietnamese and English."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime

from adapters.pdf_signatures import signature_words
from adapters.sdk import Delivery, IncomingAttachment
from schemas.message import BusinessType, Document, Organ, Priority, StatusMessage
from schemas.status_order import STATUS_NAMES
from schemas.times import VIETNAM

#: A circular goes to thousands: the message itself names them all.
_RECIPIENTS_SHOWN = 20

_PRIORITIES = {
    Priority.NORMAL: "thường / normal",
    Priority.URGENT: "khẩn / urgent",
    Priority.VERY_URGENT: "thượng khẩn / very urgent",
    Priority.EXPRESS: "HỎA TỐC / EXPRESS",
    Priority.EXPRESS_APPOINTED: "HỎA TỐC HẸN GIỜ / EXPRESS WITH AN APPOINTED HOUR",
}
_TITLES = {
    BusinessType.NEW: "VĂN BẢN ĐẾN / INCOMING DOCUMENT",
    BusinessType.RECALL: "THU HỒI VĂN BẢN / RECALL OF A DOCUMENT",
    BusinessType.UPDATE: "CẬP NHẬT VĂN BẢN / UPDATE OF A DOCUMENT",
    BusinessType.REPLACE: "THAY THẾ VĂN BẢN / REPLACEMENT OF A DOCUMENT",
}


def summary(delivery: Delivery, names: Sequence[str]) -> str:
    """The text; `names` are those under which the attachments were saved, in their order."""
    message = delivery.message
    lines = (
        _document_lines(message, delivery, names) if isinstance(message, Document) else _status_lines(message, delivery)
    )
    return "\n".join((*lines, "", *_transport_lines(delivery), ""))


def _document_lines(document: Document, delivery: Delivery, names: Sequence[str]) -> Iterator[str]:
    yield _TITLES[document.business_type]
    yield ""
    yield f"Từ / From: {_organ(document.sender)}"
    shown = [_organ(organ) for organ in document.recipients[:_RECIPIENTS_SHOWN]]
    more = len(document.recipients) - len(shown)
    yield "Đến / To: " + "; ".join(shown) + (f"; … (+{more})" if more else "")
    yield f"Nhận cho / Received for: {delivery.key.recipient}"
    yield f"Số, ký hiệu / Number: {_line(document.code.number)}/{_line(document.code.notation)}"
    yield f"Ban hành / Promulgated: {_line(document.promulgation.place)}, {_line(document.promulgation.date.text)}"
    yield f"Loại văn bản / Type: {_line(document.document_type.type_name)}"
    yield f"Độ khẩn / Priority: {_PRIORITIES[document.priority]}"
    if document.due_date:
        yield f"Hạn xử lý / Deadline: {_line(document.due_date.text)}"
    yield f"Trích yếu / Subject: {_line(document.subject)}"
    if document.content != document.subject:
        yield f"Nội dung / Content: {_line(document.content)}"
    signer = " ".join(_line(part) for part in (document.signer.position, document.signer.full_name) if part)
    yield f"Người ký / Signed by: {signer}"
    if document.business and document.business_type is not BusinessType.NEW:
        yield f"Lý do / Reason: {_line(document.business.reason)}"
    yield f"Mã văn bản / Document id: {_line(document.document_id)}"
    yield ""
    yield f"Tệp đính kèm / Attachments: {len(delivery.attachments)}"
    for number, (attachment, name) in enumerate(zip(delivery.attachments, names, strict=True), start=1):
        yield from _attachment_lines(number, attachment, name)


def _attachment_lines(number: int, attachment: IncomingAttachment, name: str) -> Iterator[str]:
    yield f"  {number}. {name} ({attachment.size} byte, {_line(attachment.content_type)})"
    if attachment.name != name:
        yield f"     Tên gốc / Sender's name: {_line(attachment.name)}"
    yield f"     SHA-256: {attachment.digest}"
    for signature in attachment.signatures:
        yield f"     Chữ ký số / Signature: {_line(signature_words(signature))}"


def _status_lines(status: StatusMessage, delivery: Delivery) -> Iterator[str]:
    yield "TRẠNG THÁI XỬ LÝ / STATUS OF A DOCUMENT"
    yield ""
    yield f"Từ / From: {_organ(status.sender)}"
    yield f"Nhận cho / Received for: {delivery.key.recipient}"
    yield f"Trạng thái / Status: {status.status_code} {' / '.join(STATUS_NAMES[status.status_code])}"
    if status.description:
        yield f"Ghi chú / Note: {_line(status.description)}"
    about = status.response_for
    if about.code:
        yield f"Về văn bản số / About number: {_line(about.code)}"
    if about.document_id:
        yield f"Mã văn bản / Document id: {_line(about.document_id)}"
    if status.staff:
        fields = (status.staff.department, status.staff.staff, status.staff.email, status.staff.mobile)
        yield "Cán bộ / Staff: " + ", ".join(_line(part) for part in fields if part)
    yield f"Lúc / At: {_line(status.timestamp.text)}"


def _transport_lines(delivery: Delivery) -> Iterator[str]:
    yield f"Mã thông điệp / Message id: {delivery.key.message_id}"
    for message_id in delivery.about:
        yield f"Về thông điệp / About message: {message_id}"
        if message_id in delivery.missing:
            yield "  CHƯA TỪNG ĐẾN ĐÂY / IT NEVER CAME HERE"
    yield f"Chứng thư ký / Sealed by: {_line(delivery.signer)}"
    yield f"Ký lúc / Sealed at: {_time(delivery.signed_at)}"
    yield f"Trục tiếp nhận lúc / Accepted by the hub at: {_time(delivery.accepted_at)}"
    yield f"Nhận lúc / Received at: {_time(delivery.received_at)}"


def _time(instant: datetime) -> str:
    return instant.astimezone(VIETNAM).strftime("%Y-%m-%d %H:%M:%S (Asia/Ho_Chi_Minh)")


def _organ(organ: Organ) -> str:
    return f"{organ.organ_id} {_line(organ.organ_name)}" if organ.organ_name else organ.organ_id.value


def _line(text: str) -> str:
    """`text` on one line without invisible characters: a sender's text must not pass for a line of this page."""
    words = " ".join(text.split())
    return "".join(letter for letter in words if not unicodedata.category(letter).startswith("C"))
