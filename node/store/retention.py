"""What is dropped of messages that are over: their payloads. What they were, and what became of them, stays.

A payload is kept for sending (`outbox.kept_from`) and for handing over (`inbox.kept_from`), each for a time of its own,
and goes when it is kept for neither. `kept_from` never lies after the moment at which all ended: it is set when the
message comes into the record, moved on here when a message turns out to need more time, and null once it is let go.

What waits for a person is waited for as long again: after that a recall that nobody answers, or a document that nobody
says is finished, keeps nothing any more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from sqlalchemy import ColumnElement, Table, and_, bindparam, delete, exists, func, or_, select, update

from node.store.business_tables import deadlines, requests
from node.store.message_tables import (
    attachments,
    envelopes,
    handovers,
    inbox,
    messages,
    outbox,
    outbox_recipients,
    small_blobs,
)
from node.store.metadata import Transaction
from node.store.receipt_tables import receipts
from node.store.standing_tables import resubmissions
from node.store.states import DeadlineStage, DeliveryState, HandoverState, OutboxState, RequestState
from schemas.envelope import Sha256Hex

_UNSENT = tuple(state for state in OutboxState if state.is_waiting)
_UNDELIVERED = (DeliveryState.WAITING, DeliveryState.ACCEPTED)
_HANDED_OVER = (HandoverState.HANDED_OVER, HandoverState.REFUSED)


class Side(Enum):
    """What a payload is kept for."""

    SENDING = outbox
    HANDING_OVER = inbox

    @property
    def table(self) -> Table:
        table: Table = self.value
        return table


@dataclass(frozen=True, slots=True)
class DueMessage:
    """A message whose time may be over. `ended_at`: when the last of it ended; None while anything is open."""

    message_id: Sha256Hex
    sealed_bytes: int
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many payloads were dropped, and the attachments that no message needs now and that are files."""

    messages: int
    files: tuple[Sha256Hex, ...]


def due(transaction: Transaction, side: Side, *, before: datetime, patience: datetime, most: int) -> list[DueMessage]:
    """Up to `most` messages kept since `before` or longer, the longest kept first.

    What was asked, or was to be finished, before `patience` is not waited for.
    """
    columns = side.table.c
    rows = transaction.execute(
        select(
            columns.message_id,
            columns.kept_from,
            messages.c.sealed_bytes,
            _ended_at(side),
            _is_open(side, patience).label("open"),
        )
        .join_from(side.table, messages, messages.c.message_id == columns.message_id)
        .where(columns.kept_from <= before)
        .order_by(columns.kept_from)
        .limit(most)
    )
    return [
        DueMessage(row.message_id, row.sealed_bytes, None if row.open else row.ended_at or row.kept_from)
        for row in rows
    ]


def keep(transaction: Transaction, side: Side, kept_from: Mapping[Sha256Hex, datetime]) -> None:
    """Let the time to keep messages count from these moments."""
    if kept_from:
        transaction.execute(
            update(side.table)
            .where(side.table.c.message_id == bindparam("of_message"))
            .values(kept_from=bindparam("since")),
            [{"of_message": message_id, "since": since} for message_id, since in kept_from.items()],
        )


def let_go(
    transaction: Transaction, side: Side, message_ids: Collection[Sha256Hex], *, at: datetime, patience: datetime
) -> Dropped:
    """Keep messages no longer for `side`; drop the payloads that are then kept for nothing. `patience`: as for `due`.

    One of which something is open again is kept from `at` on instead.
    """
    columns = side.table.c
    ended = transaction.scalars(
        update(side.table)
        .where(columns.message_id.in_(message_ids), ~_is_open(side, patience))
        .values(kept_from=None)
        .returning(columns.message_id)
    ).all()
    keep(transaction, side, dict.fromkeys(set(message_ids).difference(ended), at))
    purged = transaction.scalars(
        update(messages)
        .where(
            messages.c.message_id.in_(ended),
            *(
                ~exists().where(each.table.c.message_id == messages.c.message_id, each.table.c.kept_from.is_not(None))
                for each in Side
            ),
        )
        .values(purged_at=at)
        .returning(messages.c.message_id)
    ).all()
    transaction.execute(delete(envelopes).where(envelopes.c.message_id.in_(purged)))
    return Dropped(len(purged), _drop_attachments(transaction, purged, at))


def _drop_attachments(
    transaction: Transaction, message_ids: Collection[Sha256Hex], at: datetime
) -> tuple[Sha256Hex, ...]:
    """Drop those that no other message needs; gives those of them that are files, whose bytes are still there."""
    let_go = transaction.scalars(
        update(attachments)
        .where(attachments.c.message_id.in_(message_ids))
        .values(purged_at=at)
        .returning(attachments.c.digest)
    ).all()
    free = unneeded(transaction, let_go)
    short = transaction.scalars(
        delete(small_blobs).where(small_blobs.c.digest.in_(free)).returning(small_blobs.c.digest)
    ).all()
    return tuple(free.difference(short))


def unneeded(transaction: Transaction, digests: Collection[Sha256Hex]) -> set[Sha256Hex]:
    """Those of `digests` that are no attachment of any message with a payload."""
    needed = transaction.scalars(
        select(attachments.c.digest)
        .where(attachments.c.digest.in_(digests), attachments.c.purged_at.is_(None))
        .distinct()
    )
    return set(digests).difference(needed)


def purged_at(transaction: Transaction, message_id: Sha256Hex) -> datetime | None:
    """When the payload of a message was dropped; None if it is here, or nothing is known of the message."""
    at: datetime | None = transaction.scalar(select(messages.c.purged_at).where(messages.c.message_id == message_id))
    return at


def _ended_at(side: Side) -> ColumnElement[datetime]:
    """When the last of it ended, by this node's own clock."""
    message_id = side.table.c.message_id
    if side is Side.HANDING_OVER:
        handed = select(func.max(handovers.c.since)).where(handovers.c.message_id == message_id)
        return handed.scalar_subquery().label("ended_at")
    # `since` of a recipient is what its clock, or the hub's, said; of what was never sent it is this node's.
    told = select(func.max(receipts.c.stored_at)).where(receipts.c.message_id == message_id).scalar_subquery()
    ended = select(func.max(outbox_recipients.c.since)).where(outbox_recipients.c.message_id == message_id)
    return func.coalesce(told, ended.scalar_subquery()).label("ended_at")


def _is_open(side: Side, patience: datetime) -> ColumnElement[bool]:
    """Something of the message is still under way: its bytes may be needed at any moment."""
    message_id = side.table.c.message_id
    # A request is open until it is answered, and whoever answers looks at it and at what it speaks of.
    is_open = and_(requests.c.state == RequestState.OPEN, requests.c.opened_at > patience)
    asked = or_(
        exists().where(requests.c.message_id == message_id, is_open),
        exists().where(requests.c.about == message_id, is_open),
    )
    if side is Side.SENDING:
        undelivered = exists().where(
            outbox_recipients.c.message_id == message_id, outbox_recipients.c.delivery.in_(_UNDELIVERED)
        )
        again = exists().where(resubmissions.c.message_id == message_id)
        return or_(outbox.c.state.in_(_UNSENT), undelivered, again, asked)
    # Until it is finished it is worked on, and a status about it is made from its bytes.
    unfinished = exists().where(
        deadlines.c.message_id == message_id,
        deadlines.c.stage != DeadlineStage.SETTLED,
        deadlines.c.due_at > patience,
    )
    waiting = exists().where(handovers.c.message_id == message_id, handovers.c.state.not_in(_HANDED_OVER))
    return or_(waiting, unfinished, asked)
