"""Mailboxes: what waits for each connection, and the leases on it.

A lease is a token that a batch of entries was handed out with. It ends when its outcome is told, or lapses at its
time: the entries are then offered again, each alone, so that an envelope that its recipient cannot bear takes
no others with it. Each lapse doubles the next lease, up to a limit: such an entry comes back ever more rarely, and a
recipient that is merely slow gets the time it needs. What has expired is handed to nobody.

An entry that is put off further than any lease or release puts one off was put off by a clock that was ahead and has
been set back since: it is offered at once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Select, bindparam, insert, or_, select, update

from hub.store.directory_tables import connections
from hub.store.exchange_tables import mailbox_entries
from hub.store.metadata import Transaction
from runtime.prepared import Prepared

_entries = mailbox_entries.c

#: No lane is less urgent than this one.
EVERY_LANE: Final = 2**15 - 1

#: More would leave the calendar, and every limit is below.
_DOUBLINGS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTerms:
    """A lease to give: its token, from when, for how long (and how long at most after lapses), how much at most.

    `furthest` is how far an entry can have been put off, by a lease or a release. `last_lane` is the least urgent lane
    that is handed out.
    """

    token: str
    at: datetime
    length: timedelta
    longest: timedelta
    furthest: timedelta
    entries: int
    weight: int
    last_lane: int = EVERY_LANE


@dataclass(frozen=True, slots=True)
class Leased:
    """Entries handed out together, in the order to serve them in, until an instant; of how many a lease had lapsed."""

    entries: tuple[int, ...]
    until: datetime
    lapsed: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A mailbox entry as it stands; a receipt's if `receipt` is there, else a message's for `codes`."""

    entry: int
    message: int
    receipt: int | None
    codes: tuple[str, ...]
    open: bool
    lease: str | None
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A message to offer to a connection for some codes."""

    connection: str
    message: int
    codes: Collection[str]
    lane: int
    weight: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Release:
    """An entry handed back: when to offer it again, and why it came back."""

    entry: int
    available_at: datetime
    reason: str | None


@dataclass(frozen=True, slots=True)
class ForwardedReceipt:
    """A receipt to put into the mailbox of a message's sender."""

    connection: str
    lane: int
    message: int
    receipt: int
    weight: int


def _available(connection: ColumnElement[str]) -> Select[int, int, int, str]:
    at = bindparam("at", type_=_entries.available_at.type)
    return select(_entries.entry, _entries.weight, _entries.lapses, _entries.lease).where(
        _entries.connection == connection,
        _entries.open,
        _entries.lane <= bindparam("last_lane"),
        or_(_entries.available_at <= at, _entries.available_at > bindparam("furthest", type_=at.type)),
        or_(_entries.expires_at.is_(None), _entries.expires_at > at),
    )


# What every request of a node needs is built once: to build a statement costs four times what it costs to run it.
_OF_ONE = _available(bindparam("of_connection"))
_AVAILABLE = Prepared(_OF_ONE.order_by(_entries.lane, _entries.entry).limit(bindparam("most")))
_ANY_AVAILABLE = Prepared(_OF_ONE.with_only_columns(_entries.entry).limit(1))
_WAITING_AMONG = Prepared(
    select(connections.c.connection).where(
        connections.c.connection.in_(bindparam("among", expanding=True)),
        _available(connections.c.connection).correlate(connections).exists(),
    )
)
_LEASE = Prepared(
    update(mailbox_entries)
    .where(_entries.entry.in_(bindparam("picked", expanding=True)))
    .values(lease=bindparam("token"), available_at=bindparam("until"), lapses=bindparam("times"))
)
_FOUND = Prepared(
    select(
        _entries.entry,
        _entries.message,
        _entries.receipt,
        _entries.codes,
        _entries.open,
        _entries.lease,
        _entries.attempts,
    ).where(_entries.entry.in_(bindparam("entries", expanding=True)), _entries.connection == bindparam("of_connection"))
)
_HELD = Prepared(
    select(_entries.entry).where(
        _entries.message == bindparam("of_message"),
        _entries.connection == bindparam("of_connection"),
        _entries.receipt.is_(None),
    )
)
_CLOSED: dict[str, object] = {"open": False, "lease": None, "replayed": False, "closed_at": bindparam("at")}
_CLOSING = update(mailbox_entries).where(_entries.entry.in_(bindparam("entries", expanding=True))).values(**_CLOSED)
_CLOSE = Prepared(_CLOSING)
_CLOSE_MARKED = Prepared(_CLOSING.values(mark=bindparam("by_mark")))
_FORWARD = Prepared(insert(mailbox_entries))


def waits(
    transaction: Transaction, connection: str, *, at: datetime, furthest: timedelta, last_lane: int = EVERY_LANE
) -> bool:
    """True if `lease` would find something."""
    return _ANY_AVAILABLE.scalar(transaction, _asked(connection, at, furthest, last_lane)) is not None


def waiting(transaction: Transaction, among: Collection[str], *, at: datetime, furthest: timedelta) -> frozenset[str]:
    """Those of the connections `among` for which `lease` would find something."""
    asked = {"among": list(among), "at": at, "furthest": at + furthest, "last_lane": EVERY_LANE}
    return frozenset(_WAITING_AMONG.scalars(transaction, asked))


def lease(transaction: Transaction, connection: str, terms: LeaseTerms) -> Leased:
    """Hand out what waits for `connection`, most urgent first, as much as `terms` allow and one entry at least."""
    picked: list[int] = []
    length, lapses, lapsed = terms.length, 0, 0
    weight = terms.weight
    asked = _asked(connection, terms.at, terms.furthest, terms.last_lane) | {"most": terms.entries}
    for row in _AVAILABLE.all(transaction, asked):
        times_lapsed = row.lapses + (row.lease is not None)
        weight -= row.weight
        if picked and (times_lapsed or weight < 0):
            break
        picked.append(row.entry)
        if times_lapsed:
            lapses, lapsed = times_lapsed, int(row.lease is not None)
            length = min(length * 2 ** min(times_lapsed, _DOUBLINGS), max(terms.longest, terms.length))
            break
    until = terms.at + length
    if picked:
        _LEASE.run(transaction, {"picked": picked, "token": terms.token, "until": until, "times": lapses})
    return Leased(tuple(picked), until, lapsed)


def renew(transaction: Transaction, connection: str, entry: int, token: str, *, until: datetime) -> None:
    """Let a lease that is still this one run until `until`, if that is later than it would end."""
    transaction.execute(
        update(mailbox_entries)
        .where(
            _entries.entry == entry,
            _entries.connection == connection,
            _entries.lease == token,
            _entries.open,
            _entries.available_at < until,
        )
        .values(available_at=until)
    )


def give_back(transaction: Transaction, connection: str, entries: Collection[int], token: str, *, at: datetime) -> None:
    """Take entries back from a lease that nobody has heard of, as if it had not been given; others stay as they are."""
    transaction.execute(
        update(mailbox_entries)
        .where(
            _entries.entry.in_(entries),
            _entries.connection == connection,
            _entries.lease == token,
            _entries.open,
        )
        .values(lease=None, available_at=at)
    )


def find(transaction: Transaction, connection: str, entries: Collection[int]) -> dict[int, Entry]:
    """Those of `entries` that are `connection`'s, open or not, by number."""
    if not entries:
        return {}
    rows = _FOUND.all(transaction, {"entries": list(entries), "of_connection": connection})
    return {
        row.entry: Entry(row.entry, row.message, row.receipt, codes_in(row.codes), row.open, row.lease, row.attempts)
        for row in rows
    }


def holds(transaction: Transaction, connection: str, message: int) -> bool:
    """True if `connection` was handed the message, or is going to be."""
    return _HELD.scalar(transaction, {"of_message": message, "of_connection": connection}) is not None


def entries_of(transaction: Transaction, message: int) -> dict[str, int]:
    """The entries that hand a message over, open or not, by connection."""
    rows = transaction.execute(
        select(_entries.connection, _entries.entry).where(_entries.message == message, _entries.receipt.is_(None))
    )
    return {row.connection: row.entry for row in rows}


def offer(transaction: Transaction, offers: Sequence[Offer], *, at: datetime) -> None:
    """Offer messages for some codes anew: each in the entry that its connection has for it, or in a new one.

    No connection is offered one message twice here. An entry that is leased stays so; whoever holds it knows nothing of
    the new codes and is offered them after it.
    """
    held = {
        (row.connection, row.message): row
        for row in transaction.execute(
            select(_entries.connection, _entries.message, _entries.entry, _entries.codes, _entries.open).where(
                _entries.message.in_({each.message for each in offers}),
                _entries.connection.in_({each.connection for each in offers}),
                _entries.receipt.is_(None),
            )
        )
    }
    fresh, reopened, widened = [], [], []
    for each in offers:
        row = held.get((each.connection, each.message))
        values = {
            "lane": each.lane,
            "codes": "\n".join(sorted(each.codes)),
            "open": True,
            "available_at": at,
            "lapses": 0,
            "attempts": 0,
            "expires_at": each.expires_at,
        }
        if row is None:
            fresh.append(values | {"connection": each.connection, "message": each.message, "weight": each.weight})
        elif row.open:
            codes = sorted({*codes_in(row.codes), *each.codes})
            widened.append({"of_entry": row.entry, "codes": "\n".join(codes), "expires_at": each.expires_at})
        else:
            reopened.append(values | {"of_entry": row.entry, "lease": None, "last_error": None})
    if fresh:
        transaction.execute(insert(mailbox_entries), fresh)
    for changed in (reopened, widened):
        if changed:
            # Without values the statement sets what the parameters name.
            transaction.execute(update(mailbox_entries).where(_entries.entry == bindparam("of_entry")), changed)


def withdraw(transaction: Transaction, entry: int, codes: Collection[str], *, at: datetime) -> None:
    """Let an entry hand its message over for `codes` no more: it ends when none is left, and is leased to nobody."""
    row = transaction.execute(select(_entries.codes).where(_entries.entry == entry, _entries.open)).one_or_none()
    if row is None:
        return
    left = [code for code in codes_in(row.codes) if code not in codes]
    if left:
        narrow(transaction, entry, left)
    else:
        close(transaction, [entry], at=at)


def close(transaction: Transaction, entries: Sequence[int], *, at: datetime, mark: int | None = None) -> None:
    """Offer `entries` no more. `mark` is that of the report that says so; without one, that of an earlier one stays."""
    if entries and mark is None:
        _CLOSE.run(transaction, {"entries": list(entries), "at": at})
    elif entries:
        _CLOSE_MARKED.run(transaction, {"entries": list(entries), "at": at, "by_mark": mark})


def narrow(transaction: Transaction, entry: int, codes: Sequence[str], *, mark: int | None = None) -> None:
    """Let `entry` hand its message over for `codes` alone: the others are served, as the report of `mark` says."""
    narrowed = {"codes": "\n".join(codes)} | _marked(mark)
    transaction.execute(update(mailbox_entries).where(_entries.entry == entry).values(**narrowed))


def _marked(mark: int | None) -> dict[str, int]:
    return {} if mark is None else {"mark": mark}


def release(transaction: Transaction, releases: Sequence[Release]) -> None:
    """Take entries back from their leases."""
    if not releases:
        return
    transaction.execute(
        update(mailbox_entries)
        .where(_entries.entry == bindparam("of_entry"))
        .values(
            lease=None,
            lapses=0,
            attempts=_entries.attempts + 1,
            available_at=bindparam("again_at"),
            last_error=bindparam("reason"),
        ),
        [
            {"of_entry": released.entry, "again_at": released.available_at, "reason": released.reason}
            for released in releases
        ],
    )


def forward(transaction: Transaction, forwarded: Sequence[ForwardedReceipt], *, at: datetime) -> None:
    """Put receipts into the mailboxes of the messages' senders."""
    _FORWARD.run_each(
        transaction,
        [
            {
                "connection": entry.connection,
                "lane": entry.lane,
                "message": entry.message,
                "receipt": entry.receipt,
                "weight": entry.weight,
                "open": True,
                "available_at": at,
                "lapses": 0,
                "attempts": 0,
            }
            for entry in forwarded
        ],
    )


def _asked(connection: str, at: datetime, furthest: timedelta, last_lane: int) -> dict[str, object]:
    return {"of_connection": connection, "at": at, "furthest": at + furthest, "last_lane": last_lane}


def codes_in(lines: str | None) -> tuple[str, ...]:
    """The codes of an entry, as its column holds them."""
    return tuple(lines.split("\n")) if lines else ()
