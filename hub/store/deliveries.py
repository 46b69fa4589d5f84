"""Deliveries, one for each recipient of a message, and the fan-out that writes them in batches.

A connection that serves several recipients gets one mailbox entry for all of them, written with the last of its
deliveries: whoever leases an entry sees the whole list.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select, update

from hub.store.delivery_keys import DeliveryKey, grouped
from hub.store.exchange_tables import deliveries, fanouts, mailbox_entries, messages
from hub.store.metadata import Transaction


class DeliveryState(StrEnum):
    """Where a delivery stands. `leased` is never stored: a queued delivery is leased while its mailbox entry is."""

    QUEUED = "queued"
    LEASED = "leased"
    DELIVERED = "delivered"
    REFUSED = "refused"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """A recipient, and the connection that serves it."""

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


@dataclass(frozen=True, slots=True)
class FanoutStep:
    """What a step of the fan-out did: connections that have something new, and whether anything is left to do."""

    connections: tuple[str, ...]
    finished: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Consignment:
    """What the entries of one message have in common."""

    message: int
    lane: int
    weight: int
    expires_at: datetime


def begin_fanout(
    transaction: Transaction, consignment: Consignment, targets: Collection[Target], *, batch: int, at: datetime
) -> FanoutStep:
    """Write the first `batch` deliveries of a message at once, and note the rest for `continue_fanout`."""
    ordered = sorted(targets)
    step = _write(transaction, consignment, ordered, range(batch), at=at)
    if not step.finished:
        lines = "\n".join(f"{target.connection} {target.recipient}" for target in ordered)
        transaction.execute(
            insert(fanouts).values(message=consignment.message, lane=consignment.lane, targets=lines, position=batch)
        )
    return step


def fans_out(transaction: Transaction) -> bool:
    """True if deliveries are left to write."""
    return transaction.scalar(select(fanouts.c.message).limit(1)) is not None


def continue_fanout(transaction: Transaction, *, batch: int, at: datetime) -> tuple[str, ...] | None:
    """Write the next `batch` deliveries of the most urgent message that has some left; None if none has.

    Gives the connections that have something new.
    """
    row = transaction.execute(
        select(
            fanouts.c.message,
            fanouts.c.lane,
            fanouts.c.targets,
            fanouts.c.position,
            messages.c.weight,
            messages.c.expires_at,
        )
        .join_from(fanouts, messages, messages.c.message == fanouts.c.message)
        .order_by(fanouts.c.lane, fanouts.c.message)
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    consignment = Consignment(message=row.message, lane=row.lane, weight=row.weight, expires_at=row.expires_at)
    places = range(row.position, row.position + batch)
    step = _write(transaction, consignment, _targets(row.targets), places, at=at)
    here = fanouts.c.message == row.message
    transaction.execute(
        delete(fanouts).where(here) if step.finished else update(fanouts).where(here).values(position=places.stop)
    )
    return step.connections


def finish_fanout(transaction: Transaction, message: int, *, at: datetime) -> tuple[str, ...]:
    """Write at once what the fan-out has left of one message; gives the connections that have something new."""
    row = transaction.execute(
        select(fanouts.c.lane, fanouts.c.targets, fanouts.c.position, messages.c.weight, messages.c.expires_at)
        .join_from(fanouts, messages, messages.c.message == fanouts.c.message)
        .where(fanouts.c.message == message)
    ).one_or_none()
    if row is None:
        return ()
    consignment = Consignment(message=message, lane=row.lane, weight=row.weight, expires_at=row.expires_at)
    targets = _targets(row.targets)
    step = _write(transaction, consignment, targets, range(row.position, len(targets)), at=at)
    transaction.execute(delete(fanouts).where(fanouts.c.message == message))
    return step.connections


def _write(
    transaction: Transaction, consignment: Consignment, targets: Sequence[Target], places: range, *, at: datetime
) -> FanoutStep:
    transaction.execute(
        insert(deliveries),
        [
            {
                "message": consignment.message,
                "recipient": target.recipient,
                "connection": target.connection,
                "state": DeliveryState.QUEUED,
                "updated_at": at,
            }
            for target in targets[places.start : places.stop]
        ],
    )
    served = tuple(_completed_in(targets, places))
    if served:
        transaction.execute(
            insert(mailbox_entries),
            [
                {
                    "connection": connection,
                    "lane": consignment.lane,
                    "message": consignment.message,
                    "codes": "\n".join(codes),
                    "weight": consignment.weight,
                    "open": True,
                    "available_at": at,
                    "lapses": 0,
                    "attempts": 0,
                    "expires_at": consignment.expires_at,
                }
                for connection, codes in served
            ],
        )
    return FanoutStep(tuple(connection for connection, _ in served), finished=places.stop >= len(targets))


def _completed_in(targets: Sequence[Target], places: range) -> Iterator[tuple[str, list[str]]]:
    """The connections whose last target stands in `places`, each with all its codes."""
    end = 0
    for connection, group in groupby(targets, key=lambda target: target.connection):
        codes = [target.recipient for target in group]
        end += len(codes)
        if end - 1 in places:
            yield connection, codes
        elif end > places.stop:
            return


def find(transaction: Transaction, keys: Collection[DeliveryKey]) -> dict[DeliveryKey, Delivery]:
    """The deliveries that there are among `keys`, by key."""
    found = {}
    for numbers, codes in grouped(keys):
        rows = transaction.execute(
            select(
                deliveries.c.message,
                deliveries.c.recipient,
                deliveries.c.connection,
                deliveries.c.state,
                deliveries.c.round,
            ).where(deliveries.c.message.in_(numbers), deliveries.c.recipient.in_(codes))
        )
        for row in rows:
            found[row.message, row.recipient] = _delivery(row)
    return found


def of_message(transaction: Transaction, message: int) -> list[Delivery]:
    """The deliveries of a message that are written, by recipient."""
    rows = transaction.execute(
        select(
            deliveries.c.message,
            deliveries.c.recipient,
            deliveries.c.connection,
            deliveries.c.state,
            deliveries.c.round,
        )
        .where(deliveries.c.message == message)
        .order_by(deliveries.c.recipient)
    )
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


def recipients(transaction: Transaction, message: int) -> list[str]:
    """Every recipient of a message, those not yet fanned out included, by code."""
    written = transaction.scalars(select(deliveries.c.recipient).where(deliveries.c.message == message))
    return sorted([*written, *(target.recipient for target in unwritten(transaction, message))])


def unwritten(transaction: Transaction, message: int) -> Sequence[Target]:
    """The targets of a message whose deliveries the fan-out has not written yet."""
    row = transaction.execute(
        select(fanouts.c.targets, fanouts.c.position).where(fanouts.c.message == message)
    ).one_or_none()
    return () if row is None else _targets(row.targets)[row.position :]


def change(transaction: Transaction, changes: Sequence[DeliveryChange], *, at: datetime) -> None:
    """Set the states of deliveries."""
    if not changes:
        return
    transaction.execute(
        update(deliveries)
        .where(
            deliveries.c.message == bindparam("of_message"),
            deliveries.c.recipient == bindparam("of_recipient"),
        )
        .values(state=bindparam("new_state"), last_error=bindparam("error"), updated_at=bindparam("at")),
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


def lift(transaction: Transaction, message: int, lane: int) -> None:
    """Let what is left to do of a message ride in `lane`, if that is a more urgent one than its own."""
    transaction.execute(
        update(mailbox_entries)
        .where(
            mailbox_entries.c.message == message,
            mailbox_entries.c.receipt.is_(None),
            mailbox_entries.c.open,
            mailbox_entries.c.lane > lane,
        )
        .values(lane=lane)
    )
    transaction.execute(update(fanouts).where(fanouts.c.message == message, fanouts.c.lane > lane).values(lane=lane))


def _targets(lines: str) -> list[Target]:
    return [Target(*line.rsplit(" ", 1)) for line in lines.split("\n")]
