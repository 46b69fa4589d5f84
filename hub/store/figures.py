"""Figures of what waits, each from an index over what is open: however much has passed through, they cost the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from hub.store import alerts, pushing, watching, work
from hub.store.exchange_tables import mailbox_entries, messages, receipts
from hub.store.metadata import Transaction
from hub.store.pushing import BreakerState
from hub.store.work import WorkKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What waits, at one instant. By lane: mailbox entries that hand over messages, and when the oldest entry of any
    kind came to be. Of work in the outbox, by kind, what waits and what was set aside."""

    messages: Mapping[int, int]
    oldest: Mapping[int, datetime]
    silent: int
    alerts: int
    breakers: Mapping[BreakerState, int]
    work: Mapping[tuple[WorkKind, bool], int]


def of_now(transaction: Transaction) -> Figures:
    return Figures(
        messages=messages_waiting(transaction),
        oldest=oldest_waiting(transaction),
        silent=watching.silent_count(transaction),
        alerts=alerts.count(transaction),
        breakers=pushing.counts(transaction),
        work=work.counts(transaction),
    )


def messages_waiting(transaction: Transaction) -> dict[int, int]:
    """How many open entries hand over messages, by lane."""
    # An entry that hands over a receipt expires never; with this the index of what expires answers.
    rows = transaction.execute(
        select(mailbox_entries.c.lane, func.count().label("number"))
        .where(mailbox_entries.c.open, mailbox_entries.c.expires_at.is_not(None))
        .group_by(mailbox_entries.c.lane)
    )
    return {row.lane: row.number for row in rows}


def oldest_waiting(transaction: Transaction) -> dict[int, datetime]:
    """Since when the oldest open entry of each lane waits: its message's acceptance, or its receipt's arrival."""
    oldest = transaction.scalars(
        select(func.min(mailbox_entries.c.entry)).where(mailbox_entries.c.open).group_by(mailbox_entries.c.lane)
    ).all()
    rows = transaction.execute(
        select(mailbox_entries.c.lane, receipts.c.stored_at, messages.c.accepted_at)
        .join_from(mailbox_entries, messages, messages.c.message == mailbox_entries.c.message)
        .outerjoin(receipts, receipts.c.receipt == mailbox_entries.c.receipt)
        .where(mailbox_entries.c.entry.in_(oldest))
    )
    return {row.lane: row.stored_at or row.accepted_at for row in rows}
