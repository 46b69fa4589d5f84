"""What is dropped of messages that are over: their payloads, and the entries of receipts that were fetched long ago.

Everything else stays: the metadata, the deliveries with the entries that made them, the receipts and their proofs. What
is due is found by `messages.kept_from`, which never lies after the end of the last delivery: it is set at acceptance,
moved on here when a message turns out to need more time, and null once nothing is left to drop.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, bindparam, delete, exists, func, or_, select, update

from hub.store.deliveries import DeliveryState
from hub.store.exchange_tables import (
    blobs,
    deliveries,
    envelopes,
    fanout_batches,
    mailbox_entries,
    message_blobs,
    messages,
)
from hub.store.metadata import Transaction
from schemas.envelope import Sha256Hex

_FINAL = (DeliveryState.DELIVERED, DeliveryState.REFUSED, DeliveryState.EXPIRED, DeliveryState.CANCELLED)


@dataclass(frozen=True, slots=True)
class DueMessage:
    """A message whose time may be over. `ended_at`: when its last delivery ended; None while one is open."""

    message: int
    weight: int
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many payloads were dropped, and the attachments that no message names now and that are files."""

    messages: int
    files: tuple[Sha256Hex, ...]


def due(transaction: Transaction, *, before: datetime, most: int) -> list[DueMessage]:
    """Up to `most` messages kept since `before` or longer, the longest kept first."""
    ended_at = select(func.max(deliveries.c.updated_at)).where(deliveries.c.message == messages.c.message)
    rows = transaction.execute(
        select(
            messages.c.message,
            messages.c.weight,
            messages.c.accepted_at,
            ended_at.scalar_subquery().label("ended_at"),
            _is_open().label("open"),
        )
        .where(messages.c.kept_from <= before)
        .order_by(messages.c.kept_from)
        .limit(most)
    )
    return [DueMessage(row.message, row.weight, None if row.open else row.ended_at or row.accepted_at) for row in rows]


def keep(transaction: Transaction, kept_from: Mapping[int, datetime]) -> None:
    """Let the time to keep messages count from these moments."""
    if kept_from:
        transaction.execute(
            update(messages).where(messages.c.message == bindparam("of_message")).values(kept_from=bindparam("since")),
            [{"of_message": message, "since": since} for message, since in kept_from.items()],
        )


def over(transaction: Transaction, numbers: Collection[int]) -> list[int]:
    """Those of `numbers` of which no delivery is open."""
    return list(transaction.scalars(select(messages.c.message).where(messages.c.message.in_(numbers), ~_is_open())))


def drop_payloads(transaction: Transaction, numbers: Collection[int], *, at: datetime) -> Dropped:
    """Drop the envelopes of messages, and the attachments that no other message needs."""
    purged = transaction.scalars(
        update(messages)
        .where(messages.c.message.in_(numbers), messages.c.purged_at.is_(None))
        .values(purged_at=at)
        .returning(messages.c.message)
    ).all()
    transaction.execute(delete(envelopes).where(envelopes.c.message.in_(purged)))
    named = select(message_blobs.c.digest).where(message_blobs.c.message.in_(purged))
    rows = transaction.execute(
        select(blobs.c.digest, blobs.c.content.is_(None).label("file")).where(
            blobs.c.digest.in_(named), naming_message().is_(None)
        )
    ).all()
    short = [row.digest for row in rows if not row.file]
    if short:
        transaction.execute(update(blobs).where(blobs.c.digest.in_(short)).values(content=None))
    return Dropped(len(purged), tuple(row.digest for row in rows if row.file))


def drop_receipt_entries(transaction: Transaction, numbers: Collection[int], *, before: datetime, most: int) -> bool:
    """Drop up to `most` entries of receipts about messages that were fetched at `before` or earlier; True if that was
    all there is to drop."""
    closed_at = mailbox_entries.c.closed_at
    fetched = (
        select(mailbox_entries.c.entry)
        .where(
            mailbox_entries.c.message.in_(numbers),
            mailbox_entries.c.receipt.is_not(None),
            ~mailbox_entries.c.open,
            # It is there for a sender that is put back to a backup, so long as the message would be.
            or_(closed_at.is_(None), closed_at <= before),
        )
        .limit(most)
    )
    entries = transaction.scalars(fetched).all()
    if entries:
        transaction.execute(delete(mailbox_entries).where(mailbox_entries.c.entry.in_(entries)))
    return len(entries) < most


def finish(transaction: Transaction, numbers: Sequence[int], *, at: datetime) -> None:
    """Forget messages of which nothing is left to drop; one with receipts in a mailbox is looked at again in time."""
    fetched_first = func.min(mailbox_entries.c.closed_at).filter(~mailbox_entries.c.open)
    rows = transaction.execute(
        select(mailbox_entries.c.message, fetched_first.label("since"))
        .where(mailbox_entries.c.message.in_(numbers), mailbox_entries.c.receipt.is_not(None))
        .group_by(mailbox_entries.c.message)
    )
    waiting = {row.message: row.since or at for row in rows}
    keep(transaction, waiting)
    ended = [message for message in numbers if message not in waiting]
    transaction.execute(update(messages).where(messages.c.message.in_(ended)).values(kept_from=None))


def naming_message() -> ColumnElement[int | None]:
    """The newest message with a payload that names the attachment of the row; null if none does."""
    # Newest first: payloads go in the order of their age, so that this ends at once where it finds one at all.
    return (
        select(message_blobs.c.message)
        .join_from(message_blobs, messages, messages.c.message == message_blobs.c.message)
        .where(message_blobs.c.digest == blobs.c.digest, messages.c.purged_at.is_(None))
        .order_by(message_blobs.c.message.desc())
        .limit(1)
        .scalar_subquery()
    )


def _is_open() -> ColumnElement[bool]:
    """A delivery of the message is not final, not written yet, or may be made again."""
    return or_(
        exists().where(deliveries.c.message == messages.c.message, deliveries.c.state.not_in(_FINAL)),
        exists().where(fanout_batches.c.message == messages.c.message),
        exists().where(
            mailbox_entries.c.message == messages.c.message, mailbox_entries.c.receipt.is_(None), mailbox_entries.c.open
        ),
    )
