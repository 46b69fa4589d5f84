"""What an audit reads: recorded messages in batches with all that belongs to them, and rows that belong to none.

Whole tables are read, in the order of their keys: a report's business, never the exchange's. Nothing here says what any
of it means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column as SqlColumn
from sqlalchemy import ColumnElement, Select, Table, exists, func, select

from certs.examination import KeptVersion
from certs.kept_receipts import KeptReceipt
from node.store.directory_tables import directory_versions
from node.store.message_tables import (
    attachments,
    envelopes,
    handovers,
    inbox,
    messages,
    outbox,
    outbox_recipients,
    small_blobs,
)
from node.store.metadata import Transaction
from node.store.receipt_tables import proofs, receipts, report_receipts, reports
from node.store.states import DeliveryState, HandoverState, OutboxState
from runtime.columns import stored_bytes
from runtime.kept_attachments import KeptBytes
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex

#: Messages of a batch.
_MESSAGES: Final = 200


@dataclass(frozen=True, slots=True)
class RecordedAttachment:
    """`size` as the record has it; `kept` are bytes in the database, None where they are a file. `purged`: they are not
    kept for this message any more."""

    size: int
    kept: KeptBytes | None
    purged: bool


@dataclass(slots=True, kw_only=True)
class RecordedMessage:
    """A message with every row that belongs to it.

    `outbox` is its state if it is ours, `received` whether it is in the inbox. `attachments` go by their digests.
    """

    sequence: int
    message_id: Sha256Hex
    sender: AgencyCode
    purged_at: datetime | None
    sealed: bytes | None = field(repr=False)
    outbox: OutboxState | None = None
    received_at: datetime | None = None
    accepted_at: datetime | None = None
    recipients: dict[str, DeliveryState] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    handovers: dict[str, HandoverState] = field(default_factory=dict)
    receipts: list[KeptReceipt] = field(default_factory=list)
    attachments: dict[Sha256Hex, RecordedAttachment] = field(default_factory=dict)


def count(transaction: Transaction) -> int:
    """How many messages there are."""
    return transaction.execute(select(func.count()).select_from(messages)).scalar_one()


def batches(transaction: Transaction, *, contents: bool) -> Iterator[list[RecordedMessage]]:
    """Every message in the order of the record; `contents` reads the bytes of short attachments as well."""
    last = 0
    while batch := _batch(transaction, last, contents=contents):
        last = batch[-1].sequence
        yield batch


def _batch(transaction: Transaction, after: int, *, contents: bool) -> list[RecordedMessage]:
    rows = transaction.execute(
        select(
            messages.c.sequence,
            messages.c.message_id,
            messages.c.sender,
            messages.c.purged_at,
            envelopes.c.sealed,
            outbox.c.state,
            inbox.c.received_at,
            func.coalesce(inbox.c.accepted_at, outbox.c.accepted_at).label("accepted_at"),
        )
        .join_from(messages, envelopes, envelopes.c.message_id == messages.c.message_id, isouter=True)
        .join(outbox, outbox.c.message_id == messages.c.message_id, isouter=True)
        .join(inbox, inbox.c.message_id == messages.c.message_id, isouter=True)
        .where(messages.c.sequence > after)
        .order_by(messages.c.sequence)
        .limit(_MESSAGES)
    )
    found = {
        row.message_id: RecordedMessage(
            sequence=row.sequence,
            message_id=row.message_id,
            sender=row.sender,
            purged_at=row.purged_at,
            sealed=stored_bytes(row.sealed),
            outbox=None if row.state is None else OutboxState(row.state),
            received_at=row.received_at,
            accepted_at=row.accepted_at,
        )
        for row in rows
    }
    names = list(found)
    for row in transaction.execute(_of(outbox_recipients, names)):
        found[row.message_id].recipients[row.code.value] = DeliveryState(row.delivery)
        found[row.message_id].written[row.code.value] = row.written.value
    for row in transaction.execute(_of(handovers, names)):
        found[row.message_id].handovers[row.code.value] = HandoverState(row.state)
    _add_receipts(transaction, found)
    content = [small_blobs.c.content] if contents else []
    named = transaction.execute(
        select(
            attachments.c.message_id,
            attachments.c.digest,
            attachments.c.size,
            attachments.c.purged_at,
            func.length(small_blobs.c.content).label("held"),
            *content,
        )
        .join_from(attachments, small_blobs, small_blobs.c.digest == attachments.c.digest, isouter=True)
        .where(attachments.c.message_id.in_(names))
    )
    for row in named:
        kept = None if row.held is None else KeptBytes(row.held, stored_bytes(row.content) if contents else None)
        found[row.message_id].attachments[row.digest] = RecordedAttachment(row.size, kept, row.purged_at is not None)
    return list(found.values())


def _of(table: Table, names: Sequence[Sha256Hex]) -> Select[Any]:
    return select(table).where(table.c.message_id.in_(names))


def _add_receipts(transaction: Transaction, found: dict[Sha256Hex, RecordedMessage]) -> None:
    rows = transaction.execute(
        select(receipts).where(receipts.c.message_id.in_(list(found))).order_by(receipts.c.receipt)
    ).all()
    # Each proof once, however many receipts it signs.
    named = list({row.proof for row in rows})
    bodies: dict[Sha256Hex, bytes] = {}
    for start in range(0, len(named), _MESSAGES):
        part = named[start : start + _MESSAGES]
        for row in transaction.execute(select(proofs).where(proofs.c.digest.in_(part))):
            bodies[row.digest] = stored_bytes(row.body) or b""
    for row in rows:
        message = found[row.message_id]
        message.receipts.append(
            KeptReceipt(
                receipt=row.receipt,
                message_id=row.message_id,
                senders=frozenset({message.sender.value}),
                recipient=row.recipient.value if row.recipient else None,
                event=row.event,
                stored_at=row.stored_at,
                since=1,
                body=stored_bytes(row.body) or b"",
                proof=row.proof,
                proof_body=bodies.get(row.proof),
            )
        )


_BELONGING: Final[Sequence[Table]] = (
    envelopes, attachments, outbox, outbox_recipients, inbox, handovers, receipts,
)  # fmt: skip


def dangling(transaction: Transaction) -> Iterator[tuple[str, Sha256Hex]]:
    """Tables and message ids of rows that belong to a message that is not there."""
    for table in _BELONGING:
        rows = transaction.scalars(
            select(table.c.message_id).where(_nowhere(table.c.message_id, messages.c.message_id)).distinct()
        )
        for message_id in rows.all():
            yield table.name, message_id


def broken_reports(transaction: Transaction) -> list[int]:
    """Numbers of receipts that the hub is still to be told and that are not there."""
    missing = _nowhere(report_receipts.c.receipt, receipts.c.receipt)
    return list(transaction.scalars(select(report_receipts.c.receipt).where(missing).distinct()))


def reports_waiting(transaction: Transaction) -> int:
    """How many reports the hub is still to be told."""
    return transaction.execute(select(func.count()).select_from(reports)).scalar_one()


def gaps(transaction: Transaction) -> Iterator[tuple[str, int]]:
    """Tables with numbers that were given and that no row has any more.

    Only where numbers are given without gaps: SQLite gives the highest plus one inside the transaction; PostgreSQL
    draws a number also for what is rolled back or conflicts. Of many that follow on each other the first is named.
    """
    if transaction.dialect.name != "sqlite":
        return
    for table, number in ((messages, messages.c.sequence), (receipts, receipts.c.receipt)):
        preceding = table.alias().c[number.name]
        after = select(number).where(number > 1, ~exists().where(preceding == number - 1)).order_by(number)
        for following in transaction.scalars(after).all():
            before = transaction.scalar(select(func.max(number)).where(number < following)) or 0
            yield table.name, before + 1


def versions(transaction: Transaction) -> Iterator[KeptVersion]:
    """Every version of the copy of the directory, in order."""
    rows = transaction.execute(
        select(
            directory_versions.c.number,
            directory_versions.c.digest,
            directory_versions.c.issued_at,
            directory_versions.c.body,
        ).order_by(directory_versions.c.number)
    )
    return (KeptVersion(row.number, row.digest, row.issued_at, row.body) for row in rows)


def still_kept(transaction: Transaction, message_id: Sha256Hex) -> bool:
    """True if the payload of a message is to be here."""
    kept = transaction.scalar(select(messages.c.purged_at.is_(None)).where(messages.c.message_id == message_id))
    return bool(kept)


def _nowhere(name: SqlColumn[str] | SqlColumn[int], key: SqlColumn[str] | SqlColumn[int]) -> ColumnElement[bool]:
    return ~exists().where(key == name)
