"""The fan-out: deliveries of a message and the mailbox entries that hand it over, written batch by batch.

A connection that serves several recipients gets one mailbox entry for all of them, written with the last of its
deliveries: whoever leases an entry sees the whole list.

An acceptance writes the first batch itself and notes the others, each a row of its own: a step reads and drops one such
row, so that it costs the same however long the list is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import Row, delete, func, insert, select, update

from hub.store.deliveries import DeliveryState, Target
from hub.store.exchange_tables import deliveries, fanout_batches, mailbox_entries, messages
from hub.store.metadata import Transaction

_batches = fanout_batches.c


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
class _Entry:
    """A connection with all the recipients of the message that it serves."""

    connection: str
    recipients: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Deliveries to write together, and the entries that are complete with them."""

    targets: Sequence[Target]
    entries: Sequence[_Entry]


# Written for every message: built once.
_ADD = insert(deliveries)
_ADD_ENTRY = insert(mailbox_entries)


def begin(
    transaction: Transaction, consignment: Consignment, targets: Collection[Target], *, batch: int, at: datetime
) -> FanoutStep:
    """Write the first `batch` deliveries of a message at once, and note the rest for `go_on_with`."""
    first, *rest = _batches_of(sorted(targets), batch)
    _write(transaction, consignment, first, at=at)
    if rest:
        transaction.execute(
            insert(fanout_batches),
            [
                {
                    "message": consignment.message,
                    "batch": number,
                    "lane": consignment.lane,
                    "targets": "\n".join(f"{target.connection} {target.recipient}" for target in each.targets),
                    "entries": "\n".join(f"{entry.connection} {' '.join(entry.recipients)}" for entry in each.entries),
                }
                for number, each in enumerate(rest, start=1)
            ],
        )
    return FanoutStep(tuple(entry.connection for entry in first.entries), finished=not rest)


def is_under_way(transaction: Transaction) -> bool:
    """True if deliveries are left to write."""
    return transaction.scalar(select(_batches.message).limit(1)) is not None


def next_message(transaction: Transaction, *, but: Collection[int]) -> int | None:
    """The most urgent message that has deliveries left to write, those in `but` left out; None if none has."""
    message: int | None = transaction.scalar(
        select(_batches.message).where(_batches.message.not_in(but)).order_by(_batches.lane, _batches.message).limit(1)
    )
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
    row = transaction.execute(
        select(fanout_batches, messages.c.weight, messages.c.expires_at)
        .join_from(fanout_batches, messages, messages.c.message == _batches.message)
        .where(_batches.message == message)
        .order_by(_batches.batch)
        .limit(1)
    ).one_or_none()
    return None if row is None else _write_noted(transaction, row, at=at)


def awaiting(transaction: Transaction, recipient: str) -> list[int]:
    """The messages whose fan-out has a delivery or an entry for `recipient` still to write."""
    # The filter reads too much (`H23.1` stands in `H23.12`), and tells apart what few rows there are.
    rows = transaction.execute(
        select(_batches.message, _batches.entries)
        .where(_batches.entries.contains(f" {recipient}", autoescape=True))
        .order_by(_batches.message)
    )
    return list(
        dict.fromkeys(
            row.message for row in rows if any(recipient in entry.recipients for entry in _entries(row.entries))
        )
    )


def unwritten(transaction: Transaction, message: int) -> Sequence[Target]:
    """The targets of a message whose deliveries the fan-out has not written yet."""
    noted = transaction.scalars(select(_batches.targets).where(_batches.message == message).order_by(_batches.batch))
    return [target for lines in noted for target in _targets(lines)]


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


def _batches_of(targets: Sequence[Target], size: int) -> Iterator[_Batch]:
    """`targets`, sorted, in batches of `size`; each entry in the batch of its last recipient."""
    entries = [
        _Entry(connection, [target.recipient for target in group])
        for connection, group in groupby(targets, key=lambda target: target.connection)
    ]
    end, taken = 0, 0
    for start in range(0, len(targets), size):
        complete = []
        while taken < len(entries) and end + len(entries[taken].recipients) <= start + size:
            end += len(entries[taken].recipients)
            complete.append(entries[taken])
            taken += 1
        yield _Batch(targets[start : start + size], complete)


def _write_noted(transaction: Transaction, row: Row[*tuple[object, ...]], *, at: datetime) -> tuple[str, ...]:
    batch = _Batch(_targets(row.targets), _entries(row.entries))
    _write(
        transaction,
        Consignment(message=row.message, lane=row.lane, weight=row.weight, expires_at=row.expires_at),
        batch,
        at=at,
    )
    transaction.execute(delete(fanout_batches).where(_batches.message == row.message, _batches.batch == row.batch))
    return tuple(entry.connection for entry in batch.entries)


def _write(transaction: Transaction, consignment: Consignment, batch: _Batch, *, at: datetime) -> None:
    transaction.execute(
        _ADD,
        [
            {
                "message": consignment.message,
                "recipient": target.recipient,
                "connection": target.connection,
                "state": DeliveryState.QUEUED,
                "updated_at": at,
            }
            for target in batch.targets
        ],
    )
    if batch.entries:
        transaction.execute(
            _ADD_ENTRY,
            [
                {
                    "connection": entry.connection,
                    "lane": consignment.lane,
                    "message": consignment.message,
                    "codes": "\n".join(entry.recipients),
                    "weight": consignment.weight,
                    "open": True,
                    "available_at": at,
                    "lapses": 0,
                    "attempts": 0,
                    "expires_at": consignment.expires_at,
                }
                for entry in batch.entries
            ],
        )


def _targets(lines: str) -> list[Target]:
    return [Target(*line.split(" ", 1)) for line in lines.split("\n")]


def _entries(lines: str) -> list[_Entry]:
    parts: Iterable[list[str]] = (line.split(" ") for line in lines.split("\n")) if lines else ()
    return [_Entry(connection, codes) for connection, *codes in parts]
