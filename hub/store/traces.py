"""The trace of a message: where each of its deliveries stands, and what was receipted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select, true

from hub.store import fanouts
from hub.store.deliveries import DeliveryState
from hub.store.exchange_tables import deliveries, mailbox_entries, proofs, receipts
from hub.store.messages import KnownMessage
from hub.store.metadata import Transaction
from schemas.envelope import Sha256Hex
from schemas.receipts import ReceiptEvent


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A delivery; `attempts` counts the times that the recipient handed it back, `last_error` says why last."""

    recipient: str
    connection: str
    state: DeliveryState
    attempts: int
    updated_at: datetime
    last_error: str | None


@dataclass(frozen=True, slots=True)
class ReceiptRecord:
    """A stored receipt; `proof` names `proof_body`."""

    receipt: bytes
    proof: Sha256Hex
    proof_body: bytes


def delivery_records(
    transaction: Transaction, message: KnownMessage, connection: str | None, *, at: datetime
) -> list[DeliveryRecord]:
    """The deliveries of a message by recipient; those to `connection` alone if one is given."""
    own = true() if connection is None else deliveries.c.connection == connection
    rows = transaction.execute(
        select(
            deliveries.c.recipient,
            deliveries.c.connection,
            deliveries.c.state,
            deliveries.c.updated_at,
            deliveries.c.last_error,
            mailbox_entries.c.attempts,
            mailbox_entries.c.lease,
            mailbox_entries.c.available_at,
            mailbox_entries.c.last_error.label("entry_error"),
        )
        .join_from(
            deliveries,
            mailbox_entries,
            and_(
                mailbox_entries.c.message == deliveries.c.message,
                mailbox_entries.c.connection == deliveries.c.connection,
                mailbox_entries.c.receipt.is_(None),
            ),
            isouter=True,
        )
        .where(deliveries.c.message == message.message, own)
        .order_by(deliveries.c.recipient)
    )
    found = []
    for row in rows:
        state = DeliveryState(row.state)
        if state is DeliveryState.QUEUED and row.lease is not None and row.available_at > at:
            state = DeliveryState.LEASED
        found.append(
            DeliveryRecord(
                row.recipient,
                row.connection,
                state,
                row.attempts or 0,
                row.updated_at,
                row.last_error or (row.entry_error if state in _PENDING else None),
            )
        )
    waiting = [
        DeliveryRecord(target.recipient, target.connection, DeliveryState.QUEUED, 0, message.accepted_at, None)
        for target in fanouts.unwritten(transaction, message.message)
        if connection in (None, target.connection)
    ]
    return sorted([*found, *waiting], key=lambda record: record.recipient)


_PENDING = frozenset({DeliveryState.QUEUED, DeliveryState.LEASED})


def receipt_records(
    transaction: Transaction, message: KnownMessage, connection: str | None, *, most: int
) -> Iterator[ReceiptRecord]:
    """Up to `most` receipts about a message, its acceptance first; those of `connection` alone if one is given."""
    own: ColumnElement[bool] = true()
    if connection is not None:
        served = select(deliveries.c.recipient).where(
            deliveries.c.message == message.message, deliveries.c.connection == connection
        )
        own = or_(receipts.c.event == ReceiptEvent.SUBMISSION_ACCEPTANCE, receipts.c.recipient.in_(served))
    rows = transaction.execute(
        select(receipts.c.body, receipts.c.proof, proofs.c.body.label("proof_body"))
        .join_from(receipts, proofs, proofs.c.digest == receipts.c.proof)
        .where(receipts.c.message == message.message, own)
        .order_by(receipts.c.receipt)
        .limit(most)
    )
    return (ReceiptRecord(row.body, row.proof, row.proof_body) for row in rows)
