"""Deliveries, one for each recipient of a message. `hub.store.fanouts` writes them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, select, update

from hub.store.delivery_keys import DeliveryKey, grouped
from hub.store.exchange_tables import deliveries
from hub.store.metadata import Transaction
from runtime.prepared import Prepared


class DeliveryState(StrEnum):
    """Where a delivery stands. `leased` is never stored: a queued delivery is leased while its mailbox entry is."""

    QUEUED = "queued"
    LEASED = "leased"
    DELIVERED = "delivered"
    REFUSED = "refused"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Target(NamedTuple):
    """A recipient, and the connection that serves it. A circular has 20,000: a tuple is made in a third of the time."""

    connection: str
    recipient: str


@dataclass(frozen=True, slots=True)
class Delivery:
    message: int
    recipient: str
    connection: str
    state: DeliveryState
    round: int


@dataclass(frozen=True, slots=True)
class DeliveryChange:
    """A delivery's new state. `last_error` says why, where it is no success."""

    message: int
    recipient: str
    state: DeliveryState
    last_error: str | None = None


# What a document needs on its way is built once: to build a statement costs four times what it costs to run it.
_DELIVERIES = select(
    deliveries.c.message, deliveries.c.recipient, deliveries.c.connection, deliveries.c.state, deliveries.c.round
)
_FOUND = Prepared(
    _DELIVERIES.where(
        deliveries.c.message.in_(bindparam("numbers", expanding=True)),
        deliveries.c.recipient.in_(bindparam("codes", expanding=True)),
    )
)
_CHANGE = Prepared(
    update(deliveries)
    .where(
        deliveries.c.message == bindparam("of_message"),
        deliveries.c.recipient == bindparam("of_recipient"),
    )
    .values(state=bindparam("new_state"), last_error=bindparam("error"), updated_at=bindparam("at"))
)


def find(transaction: Transaction, keys: Collection[DeliveryKey]) -> dict[DeliveryKey, Delivery]:
    """The deliveries that there are among `keys`, by key."""
    found = {}
    for numbers, codes in grouped(keys):
        for row in _FOUND.all(transaction, {"numbers": numbers, "codes": codes}):
            found[row.message, row.recipient] = _delivery(row)
    return found


def of_message(transaction: Transaction, message: int) -> list[Delivery]:
    """The deliveries of a message that are written, by recipient."""
    rows = transaction.execute(_DELIVERIES.where(deliveries.c.message == message).order_by(deliveries.c.recipient))
    return [_delivery(row) for row in rows]


def _delivery(row: Row[*tuple[Any, ...]]) -> Delivery:
    return Delivery(row.message, row.recipient, row.connection, DeliveryState(row.state), row.round)


def requeue(transaction: Transaction, dead: Sequence[Delivery], *, at: datetime) -> None:
    """Queue deliveries that had ended anew, each in a round of its own, at the connection that it names."""
    transaction.execute(
        update(deliveries)
        .where(
            deliveries.c.message == bindparam("of_message"),
            deliveries.c.recipient == bindparam("of_recipient"),
        )
        .values(
            state=DeliveryState.QUEUED,
            connection=bindparam("to_connection"),
            round=deliveries.c.round + 1,
            last_error=None,
            updated_at=at,
        ),
        [
            {"of_message": each.message, "of_recipient": each.recipient, "to_connection": each.connection}
            for each in dead
        ],
    )


def change(transaction: Transaction, changes: Sequence[DeliveryChange], *, at: datetime) -> None:
    """Set the states of deliveries."""
    _CHANGE.run_each(
        transaction,
        [
            {
                "of_message": change.message,
                "of_recipient": change.recipient,
                "new_state": change.state,
                "error": change.last_error,
                "at": at,
            }
            for change in changes
        ],
    )
