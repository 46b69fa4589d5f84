"""Deliveries that go along when another connection serves their recipient."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select, update

from hub.store import mailboxes
from hub.store.deliveries import DeliveryState
from hub.store.delivery_listing import UNDELIVERED
from hub.store.exchange_tables import deliveries, mailbox_entries
from hub.store.mailboxes import Offer
from hub.store.metadata import Transaction


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A delivery that waits at the wrong connection, in `entry`."""

    message: int
    entry: int
    lane: int
    weight: int
    expires_at: datetime


def move_queued(transaction: Transaction, recipient: str, connection: str, *, most: int, at: datetime) -> int:
    """Put up to `most` queued deliveries to `recipient` that wait elsewhere into `connection`'s mailbox; says how many.

    A lease that another connection has on them ends for this recipient; lane and expiry stay.
    """
    waiting = _waiting_elsewhere(transaction, recipient, connection, most)
    if not waiting:
        return 0
    transaction.execute(
        update(deliveries)
        .where(deliveries.c.message == bindparam("of_message"), deliveries.c.recipient == recipient)
        .values(connection=connection),
        [{"of_message": each.message} for each in waiting],
    )
    for each in waiting:
        mailboxes.withdraw(transaction, each.entry, (recipient,), at=at)
        offered = Offer(
            connection=connection,
            message=each.message,
            codes=(recipient,),
            lane=each.lane,
            weight=each.weight,
            expires_at=each.expires_at,
        )
        mailboxes.offer(transaction, [offered], at=at)
    return len(waiting)


def _waiting_elsewhere(transaction: Transaction, recipient: str, connection: str, most: int) -> list[_Waiting]:
    rows = transaction.execute(
        select(
            deliveries.c.message,
            mailbox_entries.c.entry,
            mailbox_entries.c.lane,
            mailbox_entries.c.weight,
            mailbox_entries.c.expires_at,
        )
        .join_from(
            deliveries,
            mailbox_entries,
            (mailbox_entries.c.message == deliveries.c.message)
            & (mailbox_entries.c.connection == deliveries.c.connection)
            & mailbox_entries.c.receipt.is_(None),
        )
        .where(
            UNDELIVERED,
            deliveries.c.recipient == recipient,
            deliveries.c.state == DeliveryState.QUEUED,
            deliveries.c.connection != connection,
        )
        .limit(most)
    )
    return [_Waiting(row.message, row.entry, row.lane, row.weight, row.expires_at) for row in rows]
