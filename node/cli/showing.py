"""How the node's record looks on a terminal and in JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from rich.markup import escape

from node.store.records import AttachmentRow, HandoverRow, MessageFacts, OutboxRow, ReceiptRow, StoryEvent, Trouble
from runtime.terminal import local_time, say, show_table
from schemas.codes import AgencyCode
from schemas.message import Priority
from schemas.receipts import SignedReceipt

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


def trouble_text(trouble: Trouble | None) -> str | None:
    if trouble is None:
        return None
    return f"{trouble.text} ({trouble.code})" + (f" {trouble.mend}" if trouble.mend else "")


def facts(message: MessageFacts) -> None:
    """The message's own lines, above its tables."""
    say(f"[bold]{escape(what(message))}[/bold]")
    say(f"Message:  {message.message_id}")
    say(f"From:     {message.sender} {escape(message.sender_name or '')}".rstrip())
    if message.document_id:
        say(f"Document: {escape(message.document_id)}")
    if message.due_date:
        say(f"Deadline: {escape(message.due_date)}")
    for about in message.about:
        say(f"About:    {about}")


def recipients_table(row: OutboxRow) -> None:
    show_table(
        f"To {len(row.recipients)} recipients" if len(row.recipients) != 1 else "To one recipient",
        ("code", "name", "delivery", "since", "status", "why"),
        (
            (
                one.code,
                one.name,
                one.delivery,
                one.since,
                f"{one.status} {one.status_text or ''}".strip() if one.status else None,
                trouble_text(one.trouble),
            )
            for one in row.recipients
        ),
    )


def handovers_table(handovers: tuple[HandoverRow, ...]) -> None:
    show_table(
        "To this node's agencies",
        ("code", "state", "since", "attempts", "next attempt", "why"),
        (
            (one.code, one.state, one.since, one.attempts, one.next_attempt_at, trouble_text(one.trouble))
            for one in handovers
        ),
    )


def attachment_lines(attachments: tuple[AttachmentRow, ...]) -> None:
    """Lines, where a table would cut the digests."""
    say("Attachments")
    for one in attachments:
        say(f"  {escape(one.name)}  {escape(one.content_type)}  {one.size} bytes  sha-256 {one.digest}")


def receipts_table(receipts: tuple[ReceiptRow, ...]) -> None:
    show_table(
        "Receipts",
        ("when", "event", "by", "recipient", "why"),
        ((one.occurred_at, one.event, one.issuer.name, one.recipient, trouble_text(one.trouble)) for one in receipts),
    )


def story_lines(events: tuple[StoryEvent, ...]) -> None:
    say("What happened")
    for event in events:
        at = f" {event.code}" if event.code else ""
        say(f"  {local_time(event.at)}  {event.event}{at}  {escape(event.text)}".rstrip())
