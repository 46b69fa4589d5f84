"""Figures of the record: how much waits where, and whether the count balances."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select

from node.store.message_tables import handovers, inbox, outbox, outbox_recipients
from node.store.metadata import Transaction
from node.store.records import BalanceRow
from node.store.sending_queue import WAITING
from node.store.states import DeliveryState, HandoverState, OutboxState
from schemas.codes import AgencyCode

#: Where each delivery stands in the balance: consigned is delivered, whatever the software says afterwards.
COLUMN_OF = {
    DeliveryState.WAITING: "pending",
    DeliveryState.ACCEPTED: "pending",
    DeliveryState.CONSIGNED: "delivered",
    DeliveryState.HANDED_OVER: "delivered",
    DeliveryState.HANDOVER_FAILED: "delivered",
    DeliveryState.REFUSED: "refused",
    DeliveryState.EXPIRED: "expired",
    DeliveryState.CANCELLED: "cancelled",
}


def outbox_counts(transaction: Transaction) -> dict[OutboxState, int]:
    """How many messages of ours are in each state; every state is there."""
    rows = transaction.execute(select(outbox.c.state, func.count().label("number")).group_by(outbox.c.state))
    return dict.fromkeys(OutboxState, 0) | {OutboxState(row.state): row.number for row in rows}


def oldest_waiting(transaction: Transaction) -> datetime | None:
    """When the oldest message that still waits for the hub was submitted."""
    since: datetime | None = transaction.scalar(
        select(func.min(outbox.c.created_at)).where(outbox.c.state.in_(WAITING))
    )
    return since


def handover_counts(transaction: Transaction) -> dict[HandoverState, int]:
    """How many hand-overs are in each state; every state is there."""
    rows = transaction.execute(select(handovers.c.state, func.count().label("number")).group_by(handovers.c.state))
    return dict.fromkeys(HandoverState, 0) | {HandoverState(row.state): row.number for row in rows}


def inbox_count(transaction: Transaction) -> int:
    return transaction.execute(select(func.count()).select_from(inbox)).scalar_one()


def balance(transaction: Transaction) -> tuple[BalanceRow, ...]:
    """A row for each agency whose messages the hub has accepted, by code; and last the sum."""
    rows = transaction.execute(
        select(outbox.c.sender, outbox_recipients.c.delivery, func.count().label("number"))
        .join(outbox_recipients, outbox_recipients.c.message_id == outbox.c.message_id)
        .where(outbox.c.state == OutboxState.ACCEPTED)
        .group_by(outbox.c.sender, outbox_recipients.c.delivery)
    ).all()
    by_code: dict[AgencyCode, dict[str, int]] = {}
    total: dict[str, int] = {}
    for row in rows:
        column = COLUMN_OF[DeliveryState(row.delivery)]
        for counts in (by_code.setdefault(row.sender, {}), total):
            counts[column] = counts.get(column, 0) + row.number
    return (*(_row(code, by_code[code]) for code in sorted(by_code)), _row(None, total))


def _row(code: AgencyCode | None, counts: dict[str, int]) -> BalanceRow:
    return BalanceRow(
        code=code,
        accepted=sum(counts.values()),
        delivered=counts.get("delivered", 0),
        refused=counts.get("refused", 0),
        expired=counts.get("expired", 0),
        cancelled=counts.get("cancelled", 0),
        pending=counts.get("pending", 0),
    )
