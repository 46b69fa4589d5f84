"""The page of an evidence container that people read, in Vietnamese and in English. It proves nothing by itself."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from schemas.codes import AgencyCode
from schemas.errors import Rejected
from schemas.message import Document, Message
from schemas.receipt_codec import read_receipt
from schemas.receipts import IssuerKind, Receipt, ReceiptEvent
from schemas.times import VIETNAM
from schemas.travel import parse_envelope, read_envelope

if TYPE_CHECKING:
    from certs.evidence_writing import EvidenceContents

#: What each event is called.
EVENTS: Final = {
    ReceiptEvent.SUBMISSION_ACCEPTANCE: "trục đã tiếp nhận để chuyển / accepted by the hub",
    ReceiptEvent.SUBMISSION_REJECTION: "trục từ chối / refused by the hub",
    ReceiptEvent.CONTENT_CONSIGNMENT: "đã đến bên nhận / arrived at the recipient",
    ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE: "không đến được bên nhận / did not arrive at the recipient",
    ReceiptEvent.CONTENT_HANDOVER: "đã vào phần mềm của bên nhận / handed over to the recipient's software",
    ReceiptEvent.CONTENT_HANDOVER_FAILURE: "phần mềm của bên nhận không nhận / not taken by the recipient's software",
    ReceiptEvent.RELAY_ACCEPTANCE: "trục khác đã nhận chuyển tiếp / taken by another hub",
    ReceiptEvent.RELAY_REJECTION: "trục khác từ chối / refused by another hub",
    ReceiptEvent.RELAY_FAILURE: "chuyển tiếp không thành / could not be relayed",
}


def summary_of(contents: EvidenceContents, names: Mapping[AgencyCode, str]) -> str:
    """The page of what `contents` hold; `names` are those of agencies."""
    return "\n".join(_lines(contents, names)) + "\n"


def vietnam_time(instant: datetime) -> str:
    """An instant as people here read it, to the second."""
    return instant.astimezone(VIETNAM).strftime("%Y-%m-%d %H:%M:%S")


def _lines(contents: EvidenceContents, names: Mapping[AgencyCode, str]) -> Iterator[str]:
    yield "BẰNG CHỨNG GỬI, NHẬN VĂN BẢN ĐIỆN TỬ / EVIDENCE OF AN EXCHANGED DOCUMENT"
    yield ""
    yield f"Mã thông điệp / message id: {contents.message_id}"
    yield f"Lập bởi / gathered by: {_line(contents.gathered_by)}, {vietnam_time(contents.gathered_at)}"
    if contents.envelope is not None:
        yield from _about(contents.envelope)
    elif contents.dropped_at is not None:
        yield (
            "Nội dung / content: đã xóa theo thời hạn lưu trữ / dropped by the retention rule, "
            f"{vietnam_time(contents.dropped_at)}"
        )
    else:
        yield "Nội dung / content: không có ở đây / not held here"
    yield ""
    yield "Sự kiện, giờ Việt Nam / events, Vietnam time:"
    receipts = sorted((read_receipt(signed.receipt) for signed in contents.receipts), key=lambda one: one.occurred_at)
    for receipt in receipts:
        yield f"  {vietnam_time(receipt.occurred_at)}  {receipt.event}: {EVENTS[receipt.event]}"
        yield f"      {_issuer(receipt, names)}"
        if receipt.recipient is not None:
            yield f"      bên nhận / recipient: {_agency(receipt.recipient, names)}"
        if receipt.reason is not None:
            yield f"      lý do / reason: {_line(receipt.reason.text)} ({receipt.reason.code})"
    yield ""
    yield "Trang này tự nó không chứng minh gì. Kiểm tra bằng lệnh sau, với chứng thư gốc của trục lấy từ nơi tin cậy:"
    yield "This page proves nothing by itself. Verify with the hub's authority from a source that you trust:"
    yield "    congvan evidence verify FILE --authority hub-authority.pem"


def _about(envelope: bytes) -> Iterator[str]:
    try:
        message: Message = read_envelope(parse_envelope(envelope)).message
    except Rejected:
        yield "Nội dung / content: envelope.xml (không đọc được / cannot be read)"
        return
    yield f"Bên gửi / sender: {message.sender.organ_id} {_line(message.sender.organ_name or '')}".rstrip()
    if isinstance(message, Document):
        yield f"Mã văn bản / DocumentId: {_line(message.document_id)}"
        yield f"Trích yếu / subject: {_line(message.subject)}"
    else:
        yield f"Trạng thái / status {message.status_code}: {_line(message.response_for.document_id or '')}"


def _issuer(receipt: Receipt, names: Mapping[AgencyCode, str]) -> str:
    if receipt.issuer.kind is IssuerKind.HUB:
        return f"trục chứng nhận / attested by the hub {_line(receipt.issuer.name)}"
    return f"bên chứng nhận / attested by {_agency(AgencyCode.parse(receipt.issuer.name), names)}"


def _agency(code: AgencyCode, names: Mapping[AgencyCode, str]) -> str:
    return f"{code} {_line(names[code])}" if code in names else str(code)


def _line(text: str) -> str:
    """Foreign text on one line, without what commands a terminal or turns the direction of writing."""
    shown = "".join(" " if unicodedata.category(letter) in ("Cc", "Cf", "Co", "Cs") else letter for letter in text)
    return " ".join(shown.split())
