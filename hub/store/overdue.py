"""What was not fetched in its time.

An entry's expiry is that of the deliveries that are queued. What is delivered and offered again, for a node that was
put back to a backup, shares the entry with them and outlasts them: the node alone says when it has it again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select, update

from hub.store.deliveries import DeliveryState
from hub.store.exchange_tables import deliveries, mailbox_entries
from hub.store.mailboxes import codes_in
from hub.store.metadata import Transaction

_entries = mailbox_entries.c


@dataclass(frozen=True, slots=True)
class OverdueEntry:
    """An entry whose message was not fetched in its time, and for whom that ends it (or some of them).

    Without codes it is left to hand over again what is delivered.
    """

    entry: int
    message: int
    codes: tuple[str, ...]


def overdue(transaction: Transaction, *, lanes: int, at: datetime, most: int) -> list[OverdueEntry]:
    """Entries that hand over messages, expired at `at` and leased to nobody: most urgent lane first, then the oldest.

    They have `most` codes together; an entry with more has the first of them, and comes again.
    """
    found: list[OverdueEntry] = []
    # Lane by lane, for each is one range of the index.
    for lane in range(lanes):
        rows = transaction.execute(
            select(_entries.entry, _entries.message, _entries.codes, _entries.replayed)
            .where(_entries.open, _entries.lane == lane, _is_over(at))
            .order_by(_entries.expires_at)
            .limit(most)
        )
        for row in rows:
            codes = codes_in(row.codes)
            if row.replayed:
                wanted = wanted_again(transaction, row.entry)
                codes = tuple(code for code in codes if code not in wanted)
            found.append(OverdueEntry(row.entry, row.message, codes[:most]))
            most -= max(1, len(codes))
            if most <= 0:
                return found
    return found


def wanted_again(transaction: Transaction, entry: int) -> frozenset[str]:
    """The agencies for which an open entry hands over once more what was delivered to them: its node lost it."""
    return frozenset(
        transaction.scalars(
            select(deliveries.c.recipient)
            .join_from(
                mailbox_entries,
                deliveries,
                and_(deliveries.c.message == _entries.message, deliveries.c.connection == _entries.connection),
            )
            .where(
                _entries.entry == entry,
                _entries.open,
                _entries.replayed,
                deliveries.c.state == DeliveryState.DELIVERED,
            )
        )
    )


def let_stay(transaction: Transaction, entries: Collection[int], *, at: datetime) -> None:
    """Let overdue entries that hand over again what is delivered, and nothing else, stay until they are told of."""
    rows = transaction.execute(
        select(_entries.entry, _entries.codes).where(_entries.entry.in_(entries), _entries.open, _is_over(at))
    ).all()
    stay = [row.entry for row in rows if wanted_again(transaction, row.entry).issuperset(codes_in(row.codes))]
    transaction.execute(update(mailbox_entries).where(_entries.entry.in_(stay)).values(expires_at=None))


def _is_over(at: datetime) -> ColumnElement[bool]:
    return and_(_entries.expires_at <= at, or_(_entries.lease.is_(None), _entries.available_at <= at))
