"""What a hub says of its messages when it is compared with nodes: pages in the order of message ids."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, select

from hub.store.exchange_tables import deliveries, envelopes, fanout_batches, mailbox_entries, messages, receipts
from hub.store.fanouts import unwritten
from hub.store.metadata import Transaction
from runtime.columns import stored_bytes
from schemas.auditing import ReceiptRecord
from schemas.envelope import Sha256Hex


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRecord:
    """A message: who sent it by which connection, which connection serves each recipient, the SHA-256 of its bytes.

    `envelope` is None once the payload was dropped. A receipt is `waiting` until its sender has fetched it.
    """

    message_id: Sha256Hex
    sender: str
    connection: str
    accepted_at: datetime
    envelope: Sha256Hex | None
    recipients: dict[str, str] = field(default_factory=dict)
    receipts: list[ReceiptRecord] = field(default_factory=list)


def page(transaction: Transaction, *, after: Sha256Hex, limit: int) -> list[HubRecord]:
    """The next `limit` messages whose ids come after `after`."""
    statement = select(messages.c.message).where(messages.c.message_id > after)
    numbers = transaction.scalars(statement.order_by(messages.c.message_id).limit(limit)).all()
    return _records(transaction, messages.c.message.in_(numbers), numbers)


def one(transaction: Transaction, message_id: Sha256Hex) -> HubRecord | None:
    """What is said of one message; None if it is not known."""
    numbers = transaction.scalars(select(messages.c.message).where(messages.c.message_id == message_id)).all()
    found = _records(transaction, messages.c.message.in_(numbers), numbers)
    return found[0] if found else None


def _records(transaction: Transaction, those: ColumnElement[bool], numbers: Collection[int]) -> list[HubRecord]:
    if not numbers:
        return []
    rows = transaction.execute(
        select(
            messages.c.message,
            messages.c.message_id,
            messages.c.sender,
            messages.c.connection,
            messages.c.accepted_at,
            envelopes.c.body,
        )
        .join_from(messages, envelopes, envelopes.c.message == messages.c.message, isouter=True)
        .where(those)
        .order_by(messages.c.message_id)
    )
    found = {
        row.message: HubRecord(
            message_id=row.message_id,
            sender=row.sender,
            connection=row.connection,
            accepted_at=row.accepted_at,
            envelope=_digest(row.body),
        )
        for row in rows
    }
    for row in transaction.execute(
        select(deliveries.c.message, deliveries.c.recipient, deliveries.c.connection).where(
            deliveries.c.message.in_(numbers)
        )
    ):
        found[row.message].recipients[row.recipient] = row.connection
    for number in transaction.scalars(
        select(fanout_batches.c.message).distinct().where(fanout_batches.c.message.in_(numbers))
    ).all():
        targets = unwritten(transaction, number)
        found[number].recipients.update((target.recipient, target.connection) for target in targets)
    waiting = set(
        transaction.scalars(
            select(mailbox_entries.c.receipt).where(
                mailbox_entries.c.message.in_(numbers), mailbox_entries.c.receipt.is_not(None), mailbox_entries.c.open
            )
        )
    )
    for row in transaction.execute(
        select(receipts).where(receipts.c.message.in_(numbers)).order_by(receipts.c.receipt)
    ):
        found[row.message].receipts.append(
            ReceiptRecord(
                row.event,
                row.recipient,
                _digest(row.body) or "",
                row.stored_at,
                waiting=row.receipt in waiting,
            )
        )
    return list(found.values())


def _digest(stored: bytes | str | None) -> Sha256Hex | None:
    data = stored_bytes(stored)
    return None if data is None else hashlib.sha256(data).hexdigest()
