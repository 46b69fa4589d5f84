"""The fan-out: deliveries of a message and the mailbox entries that hand it over, written batch by batch.

A connection that serves several recipients gets one mailbox entry for all of them, written with the last of its
deliveries: whoever leases an entry sees the whole list.

An acceptance notes the batches, each a row of its own, and writes the first; what has few deliveries it writes without
a note. A step turns one such row into deliveries and entries inside the database, so that it costs the same however
long the list is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, insert, select, update

from hub.store.deliveries import DeliveryState, Target
from hub.store.exchange_tables import deliveries, fanout_batches, mailbox_entries
from hub.store.fanout_writing import write_noted
from hub.store.metadata import Transaction
from runtime.prepared import Prepared

_batches = fanout_batches.c

#: Up to so many deliveries are written as they are; of more a note is made first, even if one batch takes them.
_FEW = 16


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


@dataclass(frozen=True, slots=True)
class _Batch:
    """Deliveries to write together, and the mailbox entries that are complete with them: pairs as the columns have
    them, connection and code, connection and codes (one a line)."""

    targets: Sequence[tuple[str, str]]
    entries: Sequence[tuple[str, str]]


# Written for every message: built once.
_ADD = Prepared(insert(deliveries))
_ADD_ENTRY = Prepared(insert(mailbox_entries))
_NEXT_MESSAGE = Prepared(
    select(_batches.message)
    .where(_batches.message.not_in(bindparam("but", expanding=True)))
    .order_by(_batches.lane, _batches.message)
    .limit(1)
)
_NEXT_BATCH = Prepared(
    select(_batches.batch).where(_batches.message == bindparam("of_message")).order_by(_batches.batch).limit(1)
)


def begin(
    transaction: Transaction, consignments: Mapping[Consignment, Collection[Target]], *, batch: int, at: datetime
) -> list[FanoutStep]:
    """Write the first `batch` deliveries of each message, and leave the rest noted for `go_on_with`."""
    rows: list[dict[str, object]] = []
    entries: list[dict[str, object]] = []
    steps: list[FanoutStep] = []
    for consignment, targets in consignments.items():
        first, *rest = batches = _batches_of(sorted(targets), batch)
        if not rest and len(targets) <= _FEW:
            rows += _delivery_rows(consignment, first, at)
            entries += _entry_rows(consignment, first, at)
            steps.append(FanoutStep(tuple(connection for connection, _ in first.entries), finished=True))
        else:
            _note(transaction, consignment.message, consignment.lane, batches)
            connections = write_noted(transaction, consignment.message, 0, at=at)
            steps.append(FanoutStep(connections, finished=not rest))
    _ADD.run_each(transaction, rows)
    _ADD_ENTRY.run_each(transaction, entries)
    return steps


def _note(transaction: Transaction, message: int, lane: int, batches: Sequence[_Batch]) -> None:
    transaction.execute(
        insert(fanout_batches),
        [
            {
                "message": message,
                "batch": number,
                "lane": lane,
                "targets": json.dumps(each.targets, separators=(",", ":")),
                "entries": json.dumps(each.entries, separators=(",", ":")),
            }
            for number, each in enumerate(batches)
        ],
    )


def is_under_way(transaction: Transaction) -> bool:
    """True if deliveries are left to write."""
    return transaction.scalar(select(_batches.message).limit(1)) is not None


def next_message(transaction: Transaction, *, but: Collection[int]) -> int | None:
    """The most urgent message that has deliveries left to write, those in `but` left out; None if none has."""
    message: int | None = _NEXT_MESSAGE.scalar(transaction, {"but": list(but)})
    return message


def more_urgent(transaction: Transaction, message: int) -> int | None:
    """The most urgent message that has deliveries left to write, if it is more urgent than `message`."""
    own = select(func.min(_batches.lane)).where(_batches.message == message).scalar_subquery()
    urgent: int | None = transaction.scalar(
        select(_batches.message).where(_batches.lane < own).order_by(_batches.lane, _batches.message).limit(1)
    )
    return urgent


def go_on_with(transaction: Transaction, message: int, *, at: datetime) -> tuple[str, ...] | None:
    """Write the next batch of one message; None if it has none left.

    Gives the connections that have something new.
    """
    batch = _NEXT_BATCH.scalar(transaction, {"of_message": message})
    return None if batch is None else write_noted(transaction, message, batch, at=at)


def awaiting(transaction: Transaction, recipient: str) -> list[int]:
    """The messages whose fan-out has a delivery or an entry for `recipient` still to write."""
    # The filter finds no less than it should, and what it finds is few rows.
    rows = transaction.execute(
        select(_batches.message, _batches.entries)
        .where(_batches.entries.contains(recipient, autoescape=True))
        .order_by(_batches.message)
    )
    waiting = (
        row.message for row in rows if any(recipient in codes.split("\n") for _, codes in json.loads(row.entries))
    )
    return list(dict.fromkeys(waiting))


def unwritten(transaction: Transaction, message: int) -> Sequence[Target]:
    """The targets of a message whose deliveries the fan-out has not written yet."""
    noted = transaction.scalars(select(_batches.targets).where(_batches.message == message).order_by(_batches.batch))
    return [Target(*pair) for pairs in noted for pair in json.loads(pairs)]


def recipients(transaction: Transaction, message: int) -> list[str]:
    """Every recipient of a message, those not yet fanned out included, by code."""
    written = transaction.scalars(select(deliveries.c.recipient).where(deliveries.c.message == message))
    return sorted([*written, *(target.recipient for target in unwritten(transaction, message))])


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
    transaction.execute(
        update(fanout_batches).where(_batches.message == message, _batches.lane > lane).values(lane=lane)
    )


def _batches_of(targets: Sequence[tuple[str, str]], size: int) -> list[_Batch]:
    """`targets`, sorted, in batches of `size`; each entry in the batch of its last recipient."""
    batches = []
    codes: list[str] = []
    following = [*(connection for connection, _ in targets[1:]), None]
    for start in range(0, len(targets), size):
        batch = targets[start : start + size]
        complete = []
        for (connection, code), next_connection in zip(batch, following[start:], strict=False):
            codes.append(code)
            if connection != next_connection:
                complete.append((connection, "\n".join(codes)))
                codes = []
        batches.append(_Batch(batch, complete))
    return batches


def _delivery_rows(consignment: Consignment, batch: _Batch, at: datetime) -> list[dict[str, object]]:
    return [
        {
            "message": consignment.message,
            "recipient": recipient,
            "connection": connection,
            "state": DeliveryState.QUEUED,
            "updated_at": at,
        }
        for connection, recipient in batch.targets
    ]


def _entry_rows(consignment: Consignment, batch: _Batch, at: datetime) -> list[dict[str, object]]:
    return [
        {
            "connection": connection,
            "lane": consignment.lane,
            "message": consignment.message,
            "codes": codes,
            "weight": consignment.weight,
            "open": True,
            "available_at": at,
            "lapses": 0,
            "attempts": 0,
            "expires_at": consignment.expires_at,
        }
        for connection, codes in batch.entries
    ]
