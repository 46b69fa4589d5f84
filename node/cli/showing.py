"""How the node's record looks on a terminal and in JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape

from adapters.pdf_signatures import signature_words
from node.store.records import (
    AttachmentRow,
    DueRow,
    HandoverRow,
    MessageFacts,
    OutboxRow,
    ReceiptRow,
    RecipientRow,
    RequestRow,
    StoryEvent,
    TransferRow,
    Trouble,
)
from node.store.states import CompanionRole, DeadlineStage, RequestState, Standing
from node.store.verdicts import GuardVerdict
from runtime.terminal import local_time, say, show_json, show_table
from schemas.codes import AgencyCode
from schemas.message import BusinessType, Priority
from schemas.receipts import SignedReceipt
from schemas.status_order import status_words

#: Digits of a message id that a table shows: enough to name the message to a command.
SHORT_ID = 12


def plain(value: Any) -> Any:
    """`value` as JSON takes it: a record as an object under the names of its fields."""
    match value:
        case AgencyCode():
            return value.value
        case SignedReceipt():
            return {"receipt": value.receipt.decode(), "proof": value.proof.decode()}
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {one.name: plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
        case _:
            return value


def row_fields(row: Any) -> dict[str, Any]:
    """A row of the outbox or the inbox with the facts of its message beside the rest, not below a key of their own."""
    fields: dict[str, Any] = plain(row)
    message: dict[str, Any] = fields.pop("message")
    return message | fields


def short(message_id: str) -> str:
    return message_id[:SHORT_ID]


def what(message: MessageFacts) -> str:
    """The message in a few words."""
    if message.status is not None:
        return f"status {message.status}: {message.description or ''}".rstrip(": ")
    express = "[HỎA TỐC] " if message.priority >= Priority.EXPRESS else ""
    return express + (message.subject or message.document_id or "")


def transfer_words(transfer: TransferRow) -> str:
    """How far an attachment is on its way, and how fast."""
    return (
        f"{transfer.direction} {transfer.percent} % of {transfer.size / 1e6:.1f} MB, "
        f"{transfer.bytes_per_second / 1e6:.1f} MB/s"
    )


def state_words(row: OutboxRow) -> str:
    """Where a message of ours stands, with what of it is on its way at this moment."""
    return "; ".join([row.state, *map(transfer_words, row.transfers)])


def trouble_text(trouble: Trouble | None) -> str | None:
    if trouble is None:
        return None
    return f"{trouble.text} ({trouble.code})" + (f" {trouble.mend}" if trouble.mend else "")


def facts(message: MessageFacts) -> None:
    """The message's own lines, above its tables."""
    say(f"[bold]{escape(what(message))}[/bold]")
    say(f"Message:  {message.message_id}")
    say(f"From:     {message.sender} {escape(message.sender_name or '')}".rstrip())
    if message.purged_at is not None:
        say(f"Bytes:    dropped {local_time(message.purged_at)} by the retention rule")
    if message.document_id:
        say(f"Document: {escape(message.document_id)}")
    if message.due_date:
        say(f"Deadline: {escape(message.due_date)}")
    for about in message.about:
        say(f"About:    {about}")


#: Where a message stands, in the words of an office.
_STANDINGS = {
    Standing.WAITING: "chờ gửi",
    Standing.SENT: "đã gửi",
    Standing.ARRIVED: "đã đến",
    Standing.ACCEPTED: "đã tiếp nhận",
    Standing.ASSIGNED: "đã phân công",
    Standing.PROCESSING: "đang xử lý",
    Standing.FINISHED: "đã hoàn thành",
    Standing.REFUSED: "từ chối",
    Standing.RECALLED: "đã thu hồi",
    Standing.EXPIRED: "hết hạn gửi",
    Standing.CANCELLED: "đã hủy gửi",
    Standing.AGREED: "đồng ý",
    Standing.DECLINED: "không đồng ý",
}
_REQUESTS = {BusinessType.RECALL: "recall (thu hồi)", BusinessType.UPDATE: "update (cập nhật)"}
_ANSWERS = {
    RequestState.OPEN: "not answered yet",
    RequestState.AGREED: "agreed (đồng ý)",
    RequestState.REFUSED: "refused (từ chối)",
}
_ROLES = {
    CompanionRole.PART: "the same, for those who hold a copy",
    CompanionRole.COPY: "a copy for receivers who were added",
    CompanionRole.RECALL: "the recall from receivers who were removed",
}
_STAGES = {
    DeadlineStage.AHEAD: "",
    DeadlineStage.NEAR: "due soon (sắp đến hạn)",
    DeadlineStage.PAST: "overdue (quá hạn)",
}


def standing_words(row: RecipientRow) -> str:
    """Where the message stands at a recipient, in English and Vietnamese."""
    return f"{row.standing} ({_STANDINGS[row.standing]})"


def stand_counts(stands: Mapping[Standing, int]) -> str:
    """How many recipients a message stands where at, in both languages."""
    return ", ".join(f"{stands[one]} {one} ({_STANDINGS[one]})" for one in Standing if stands.get(one))


def request_words(request: RequestRow) -> str:
    """A recall or an update with its answer."""
    kind = _REQUESTS.get(request.kind, request.kind.name.lower())
    reason = f": {request.reason}" if request.reason else ""
    return f"{kind} {short(request.message_id)} {_ANSWERS[request.state]}{reason}"


def recipients_table(row: OutboxRow) -> None:
    count = sum(row.stands.values())
    show_table(
        f"To {count} recipients: {stand_counts(row.stands)}" if count != 1 else "To one recipient",
        ("code", "name", "stands", "delivery", "since", "status", "requests", "why"),
        (
            (
                one.code,
                one.name,
                standing_words(one),
                one.delivery,
                one.since,
                f"{one.status} {one.status_text or ''}".strip() if one.status else None,
                "; ".join(map(request_words, one.requests)) or None,
                trouble_text(one.trouble),
            )
            for one in row.recipients
        ),
    )
    _say_more(count - len(row.recipients), "recipients")


def _say_more(left_out: int, things: str) -> None:
    if left_out > 0:
        say(f"… and {left_out} {things} more: --all shows each.")


def companion_lines(row: OutboxRow) -> None:
    """The messages that went out together with this one, and its copies."""
    for one in row.companions:
        name = row.message.message_id
        if one.message_id == name == one.leader:
            say(f"Stands for the update of {one.document}: nobody who had it keeps it")
        elif one.message_id == name:
            say(f"Went with: {one.leader}, as {_ROLES[one.role]}")
        else:
            say(f"Together:  {one.message_id}, {_ROLES[one.role]}")


def handovers_table(handovers: tuple[HandoverRow, ...]) -> None:
    show_table(
        "To this node's agencies",
        ("code", "state", "since", "attempts", "next attempt", "deadline", "requests", "why"),
        (
            (
                one.code,
                one.state,
                one.since,
                one.attempts,
                one.next_attempt_at,
                one.deadline.due_at if one.deadline and one.deadline.stage is not DeadlineStage.SETTLED else None,
                "; ".join(map(request_words, one.requests)) or None,
                trouble_text(one.trouble),
            )
            for one in handovers
        ),
    )


def verdict_lines(way: str, verdicts: Sequence[GuardVerdict], attachments: Sequence[AttachmentRow]) -> None:
    """What each guard said, and the signatures that it found."""
    names = {attachment.digest: attachment.name for attachment in attachments}
    for verdict in verdicts:
        why = f": {verdict.reason}" if verdict.reason else ""
        rule = f" ({verdict.code})" if verdict.code else ""
        say(escape(f"Guard:    {verdict.guard} {verdict.verdict}, {way}, {local_time(verdict.at)}{why}{rule}"))
        for digest, found in verdict.signatures.items():
            for signature in found:
                say(escape(f"          {names.get(digest, digest)}: {signature_words(signature)}"))


def show_due(rows: Sequence[tuple[DueRow, DeadlineStage]], *, as_json: bool) -> None:
    """Documents to finish, each with where its deadline stands now."""
    if as_json:
        show_json([row_fields(row) | {"stage": stage} for row, stage in rows])
    elif not rows:
        say("Nothing is due.")
    else:
        show_table(
            "",
            ("deadline", "", "message", "received", "from", "for", "what", "last status"),
            (
                (
                    row.deadline.due_at,
                    _STAGES[stage],
                    short(row.message.message_id),
                    row.received_at,
                    row.message.sender,
                    row.deadline.code,
                    what(row.message),
                    status_words(row.status) if row.status else None,
                )
                for row, stage in rows
            ),
        )


def attachment_lines(attachments: tuple[AttachmentRow, ...]) -> None:
    """Lines, where a table would cut the digests."""
    say("Attachments")
    for one in attachments:
        say(f"  {escape(one.name)}  {escape(one.content_type)}  {one.size} bytes  sha-256 {one.digest}")


def receipts_table(receipts: tuple[ReceiptRow, ...], count: int) -> None:
    """The receipts, of which there are `count`."""
    show_table(
        "Receipts",
        ("when", "event", "by", "recipient", "why"),
        ((one.occurred_at, one.event, one.issuer.name, one.recipient, trouble_text(one.trouble)) for one in receipts),
    )
    _say_more(count - len(receipts), "receipts")


def story_lines(events: tuple[StoryEvent, ...]) -> None:
    say("What happened")
    for event in events:
        at = f" {event.code}" if event.code else ""
        say(f"  {local_time(event.at)}  {event.event}{at}  {escape(event.text)}".rstrip())
