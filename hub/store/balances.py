"""The counts behind the balance. They read whole tables: a report's business, never a request's."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import func, select

from hub.store.deliveries import DeliveryState
from hub.store.exchange_tables import deliveries, fanout_batches, messages
from hub.store.fanouts import unwritten
from hub.store.metadata import Transaction


def promised(transaction: Transaction) -> dict[str, int]:
    """How many deliveries were acknowledged to each sender: the recipients of its accepted messages."""
    rows = transaction.execute(
        select(messages.c.sender, func.sum(messages.c.recipients_count).label("number")).group_by(messages.c.sender)
    )
    return {row.sender: row.number for row in rows}


def by_sender(transaction: Transaction) -> Iterator[tuple[str, DeliveryState, int]]:
    """How many deliveries of each sender's stand where."""
    rows = transaction.execute(
        select(messages.c.sender, deliveries.c.state, func.count().label("number"))
        .join_from(deliveries, messages, messages.c.message == deliveries.c.message)
        .group_by(messages.c.sender, deliveries.c.state)
    )
    return ((row.sender, DeliveryState(row.state), row.number) for row in rows)


def by_recipient(transaction: Transaction) -> Iterator[tuple[str, DeliveryState, int]]:
    """How many deliveries to each recipient stand where."""
    rows = transaction.execute(
        select(deliveries.c.recipient, deliveries.c.state, func.count().label("number")).group_by(
            deliveries.c.recipient, deliveries.c.state
        )
    )
    return ((row.recipient, DeliveryState(row.state), row.number) for row in rows)


def not_fanned_out(transaction: Transaction) -> Iterator[tuple[str, str]]:
    """Sender and recipient of each delivery that the fan-out has not written yet."""
    rows = transaction.execute(
        select(fanout_batches.c.message, messages.c.sender)
        .distinct()
        .join_from(fanout_batches, messages, messages.c.message == fanout_batches.c.message)
    ).all()
    for row in rows:
        for target in unwritten(transaction, row.message):
            yield row.sender, target.recipient
