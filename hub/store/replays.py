"""What a restored node asks for again: entries that it had closed, and messages that it had sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update

from hub.store.deliveries import DeliveryState
from hub.store.exchange_tables import deliveries, envelopes, mailbox_entries, messages
from hub.store.mailboxes import codes_in
from hub.store.metadata import Transaction
from hub.store.reading import reads
from schemas.envelope import Sha256Hex

_entries = mailbox_entries.c


@dataclass(frozen=True, slots=True)
class Reopened:
    """What one step opened again: how many entries, and of which messages the bytes are gone; `finished` if no entry
    is left."""

    entries: int
    purged: tuple[Sha256Hex, ...]
    finished: bool


@dataclass(frozen=True, slots=True)
class SentMessage:
    """An accepted message: its number here, and its id."""

    message: int
    message_id: Sha256Hex


def reopen(transaction: Transaction, connection: str, *, after: int, most: int, at: datetime) -> Reopened:
    """Offer again up to `most` entries of `connection` that were closed, or told of in part, under a later mark.

    A message's entry is for every agency of the connection that it was delivered to, and keeps its payload from now on
    as if it had just been delivered; the deliveries stay as they are. What no agency has taken is not offered again.
    """
    rows = transaction.execute(
        select(_entries.entry, _entries.message, _entries.receipt, _entries.codes, _entries.open)
        .where(_entries.connection == connection, _entries.mark > after)
        .order_by(_entries.mark, _entries.entry)
        .limit(most)
    ).all()
    bodies = _with_bytes(transaction, [row.message for row in rows if row.receipt is None])
    purged: list[int] = []
    opened = 0
    for row in rows:
        values: dict[str, object] = {"mark": None}
        codes: list[str] = []
        if row.receipt is None:
            left = codes_in(row.codes) if row.open else ()
            codes = _codes(transaction, connection, row.message, left)
        if row.receipt is not None or (codes and row.message in bodies):
            opened += 1
            values |= {"open": True, "replayed": True, "lease": None, "lapses": 0, "available_at": at}
            if row.receipt is None:
                values["codes"] = "\n".join(codes)
            if not row.open:
                # All of it is settled: it ends when the node says so, not by itself.
                values["expires_at"] = None
        elif codes:
            purged.append(row.message)
        transaction.execute(update(mailbox_entries).where(_entries.entry == row.entry).values(**values))
    if bodies:
        transaction.execute(
            update(messages)
            .where(messages.c.message.in_(bodies), messages.c.kept_from.is_not(None))
            .values(kept_from=at)
        )
    names = transaction.scalars(select(messages.c.message_id).where(messages.c.message.in_(purged))).all()
    return Reopened(opened, tuple(names), finished=len(rows) < most)


def _with_bytes(transaction: Transaction, numbers: Sequence[int]) -> frozenset[int]:
    """Those of the messages whose envelope was not dropped."""
    if not numbers:
        return frozenset()
    return frozenset(transaction.scalars(select(envelopes.c.message).where(envelopes.c.message.in_(numbers))))


def _codes(transaction: Transaction, connection: str, message: int, left: Sequence[str]) -> list[str]:
    delivered = transaction.scalars(
        select(deliveries.c.recipient).where(
            deliveries.c.message == message,
            deliveries.c.connection == connection,
            deliveries.c.state == DeliveryState.DELIVERED,
        )
    )
    return sorted({*delivered, *left})


def sent_since(
    transaction: Transaction, connection: str, at: datetime | None, *, after: int, most: int
) -> list[SentMessage]:
    """Up to `most` messages that `connection` submitted and that were accepted at `at` or later (None: all), in order,
    from the one after number `after`."""
    statement = (
        select(messages.c.message, messages.c.message_id)
        .where(messages.c.connection == connection, messages.c.message > after)
        .order_by(messages.c.message)
        .limit(most)
    )
    if at is not None:
        statement = statement.where(messages.c.accepted_at >= at)
    return [SentMessage(row.message, row.message_id) for row in transaction.execute(statement)]


def envelope_for(transaction: Transaction, message_id: Sha256Hex, connection: str) -> tuple[bool, bytes | None]:
    """Whether there is such a message that `connection` may read; and its bytes, unless they were dropped."""
    row = transaction.execute(
        select(envelopes.c.body)
        .join_from(messages, envelopes, envelopes.c.message == messages.c.message, isouter=True)
        .where(messages.c.message_id == message_id, reads(connection))
        .limit(1)
    ).one_or_none()
    return (False, None) if row is None else (True, row.body)
