"""What a node says of its messages when it is compared with its hub: pages in the order of message ids."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select

from node.store.message_tables import envelopes, handovers, inbox, messages, outbox, outbox_recipients
from node.store.metadata import Transaction
from node.store.receipt_tables import receipts, report_receipts
from node.store.states import HandoverState, OutboxState
from runtime.columns import stored_bytes
from schemas.auditing import ReceiptRecord
from schemas.envelope import Sha256Hex


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """A message: sent from here if `outbox` is there, received here if `received_at` is; the SHA-256 of its bytes.

    `envelope` is None once the payload was dropped. A receipt is `waiting` until the hub has been told of it.
    """

    message_id: Sha256Hex
    envelope: Sha256Hex | None
    outbox: OutboxState | None
    created_at: datetime | None
    received_at: datetime | None
    recipients: set[str] = field(default_factory=set)
    handovers: dict[str, HandoverState] = field(default_factory=dict)
    receipts: list[ReceiptRecord] = field(default_factory=list)


def page(transaction: Transaction, *, after: Sha256Hex, limit: int) -> list[NodeRecord]:
    """The next `limit` messages whose ids come after `after`."""
    statement = select(messages.c.message_id).where(messages.c.message_id > after)
    return _records(transaction, transaction.scalars(statement.order_by(messages.c.message_id).limit(limit)).all())


def one(transaction: Transaction, message_id: Sha256Hex) -> NodeRecord | None:
    """What is said of one message; None if it is not known."""
    found = _records(transaction, [message_id])
    return found[0] if found else None


def _records(transaction: Transaction, names: Collection[Sha256Hex]) -> list[NodeRecord]:
    rows = transaction.execute(
        select(messages.c.message_id, envelopes.c.sealed, outbox.c.state, outbox.c.created_at, inbox.c.received_at)
        .join_from(messages, envelopes, envelopes.c.message_id == messages.c.message_id, isouter=True)
        .join(outbox, outbox.c.message_id == messages.c.message_id, isouter=True)
        .join(inbox, inbox.c.message_id == messages.c.message_id, isouter=True)
        .where(messages.c.message_id.in_(names))
        .order_by(messages.c.message_id)
    )
    found = {
        row.message_id: NodeRecord(
            message_id=row.message_id,
            envelope=_digest(row.sealed),
            outbox=None if row.state is None else OutboxState(row.state),
            created_at=row.created_at,
            received_at=row.received_at,
        )
        for row in rows
    }
    for row in transaction.execute(
        select(outbox_recipients.c.message_id, outbox_recipients.c.code).where(
            outbox_recipients.c.message_id.in_(found)
        )
    ):
        found[row.message_id].recipients.add(row.code.value)
    for row in transaction.execute(select(handovers).where(handovers.c.message_id.in_(found))):
        found[row.message_id].handovers[row.code.value] = HandoverState(row.state)
    told = (
        select(receipts, report_receipts.c.report)
        .join_from(receipts, report_receipts, report_receipts.c.receipt == receipts.c.receipt, isouter=True)
        .where(receipts.c.message_id.in_(found))
        .order_by(receipts.c.receipt)
    )
    for row in transaction.execute(told):
        found[row.message_id].receipts.append(
            ReceiptRecord(
                row.event,
                row.recipient.value if row.recipient else None,
                _digest(row.body) or "",
                row.stored_at,
                waiting=row.report is not None,
            )
        )
    return list(found.values())


def _digest(stored: bytes | str | None) -> Sha256Hex | None:
    data = stored_bytes(stored)
    return None if data is None else hashlib.sha256(data).hexdigest()
