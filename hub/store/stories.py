"""What is on record of one message beside its deliveries: receipts as they came, and messages that speak of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from hub.store.deliveries import DeliveryState
from hub.store.exchange_tables import deliveries, envelopes, messages, messages_about, receipts
from hub.store.messages import MessageKind
from hub.store.metadata import Transaction
from schemas.envelope import Sha256Hex


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """A receipt's bytes, when it came here, and in which round of its delivery."""

    body: bytes
    stored_at: datetime
    round: int


@dataclass(frozen=True, slots=True)
class Accepting:
    """What a message was accepted with. `left_out` are the codes below its selectors that were not active."""

    directory_version: int
    recipients_count: int
    left_out: tuple[str, ...]
    purged_at: datetime | None


@dataclass(frozen=True, slots=True)
class SpeakingMessage:
    """A message that speaks of another; `envelope` is None once its payload was dropped."""

    message: int
    message_id: Sha256Hex
    kind: MessageKind
    sender: str
    document_id: str | None
    accepted_at: datetime
    envelope: bytes | None


def accepting(transaction: Transaction, message: int) -> Accepting:
    row = transaction.execute(
        select(
            messages.c.directory_version, messages.c.recipients_count, messages.c.left_out, messages.c.purged_at
        ).where(messages.c.message == message)
    ).one()
    left_out = tuple(row.left_out.split("\n")) if row.left_out else ()
    return Accepting(row.directory_version, row.recipients_count, left_out, row.purged_at)


def receipts_of(transaction: Transaction, message: int, *, most: int) -> list[StoredReceipt]:
    """Up to `most` receipts about a message, in the order in which they came."""
    rows = transaction.execute(
        select(receipts.c.body, receipts.c.stored_at, receipts.c.round)
        .where(receipts.c.message == message)
        .order_by(receipts.c.receipt)
        .limit(most)
    )
    return [StoredReceipt(row.body, row.stored_at, row.round) for row in rows]


def speaking_of(transaction: Transaction, message: int, *, most: int) -> list[SpeakingMessage]:
    """Up to `most` messages that speak of one, in the order of acceptance."""
    about = select(messages_about.c.message).where(messages_about.c.about == message)
    rows = transaction.execute(
        select(
            messages.c.message,
            messages.c.message_id,
            messages.c.kind,
            messages.c.sender,
            messages.c.document_id,
            messages.c.accepted_at,
            envelopes.c.body,
        )
        .join_from(messages, envelopes, envelopes.c.message == messages.c.message, isouter=True)
        .where(messages.c.message.in_(about))
        .order_by(messages.c.message)
        .limit(most)
    )
    return [
        SpeakingMessage(
            row.message,
            row.message_id,
            MessageKind(row.kind),
            row.sender,
            row.document_id,
            row.accepted_at,
            row.body,
        )
        for row in rows
    ]


def spoken_of(transaction: Transaction, message: int) -> list[Sha256Hex]:
    """The ids of the messages that one speaks of."""
    statement = (
        select(messages.c.message_id)
        .join_from(messages_about, messages, messages.c.message == messages_about.c.about)
        .where(messages_about.c.message == message)
        .order_by(messages_about.c.about)
    )
    return list(transaction.scalars(statement))


def counted(transaction: Transaction, numbers: Collection[int]) -> dict[int, Counter[DeliveryState]]:
    """How many deliveries of each message stand where."""
    found: dict[int, Counter[DeliveryState]] = {}
    rows = transaction.execute(
        select(deliveries.c.message, deliveries.c.state, func.count().label("number"))
        .where(deliveries.c.message.in_(numbers))
        .group_by(deliveries.c.message, deliveries.c.state)
    )
    for row in rows:
        found.setdefault(row.message, Counter())[DeliveryState(row.state)] = row.number
    return found
