"""Who fetched when, and who has ceased to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, case, exists, func, select, update

from hub.store.directory_tables import agencies, connections
from hub.store.exchange_tables import mailbox_entries, messages
from hub.store.metadata import Transaction
from hub.store.watch_tables import connection_watch, hub_watch
from runtime.columns import insert_or
from schemas.directory import EntryStatus

_watch = connection_watch.c


@dataclass(frozen=True, slots=True)
class WatchRow:
    """How a connection's fetching stands; `silent_since` is there while it does not fetch."""

    fetched_at: datetime | None
    silent_since: datetime | None


@dataclass(frozen=True, slots=True)
class Served:
    """Whom a connection serves: its name, how many active agencies, and the first of their codes."""

    name: str
    agencies: int
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Deliveries that wait for a connection, and when the oldest of them was accepted."""

    deliveries: int
    oldest: datetime | None


def look(transaction: Transaction, *, at: datetime, gap: timedelta) -> datetime:
    """Note that a hub looks; gives since when one has looked with no longer gap than `gap`."""
    row = transaction.execute(select(hub_watch.c.since, hub_watch.c.looked_at)).one_or_none()
    # A clock that went back makes a gap as well: what was noted before it tells nothing of now.
    unbroken = row is not None and row.looked_at <= at <= row.looked_at + gap
    since: datetime = row.since if row is not None and unbroken else at
    values = {"since": since, "looked_at": at}
    statement = insert_or(transaction, hub_watch).values(id=1, **values)
    transaction.execute(statement.on_conflict_do_update(index_elements=[hub_watch.c.id], set_=values))
    return since


def begin(transaction: Transaction, connection: str, *, at: datetime) -> None:
    """Await `connection` from `at` on: it was let in, for the first time or again."""
    statement = insert_or(transaction, connection_watch).values(connection=connection, watched_from=at)
    transaction.execute(statement.on_conflict_do_update(index_elements=[_watch.connection], set_={"watched_from": at}))


def note_fetch(transaction: Transaction, connection: str, *, at: datetime) -> datetime | None:
    """Note that `connection` fetched; if it was silent it no longer is, and since when it was is given."""
    silent_since: datetime | None = transaction.scalar(
        select(_watch.silent_since).where(_watch.connection == connection)
    )
    statement = insert_or(transaction, connection_watch).values(connection=connection, watched_from=at, fetched_at=at)
    transaction.execute(statement.on_conflict_do_update(index_elements=[_watch.connection], set_={"fetched_at": at}))
    if silent_since is None:
        return None
    # Of two hub processes that it fetched from at once, one ends its silence.
    ended = transaction.execute(
        update(connection_watch)
        .where(_watch.connection == connection, _watch.silent_since.is_not(None))
        .values(silent_since=None)
    )
    return silent_since if ended.rowcount else None


def ceased(transaction: Transaction, *, before: datetime) -> list[tuple[str, datetime]]:
    """Connections that should fetch and have not since an instant (given) before `before`, not yet marked as silent."""
    rows = transaction.execute(
        select(_watch.connection, _last_sign())
        .join_from(connection_watch, connections, connections.c.connection == _watch.connection)
        .where(
            _watch.silent_since.is_(None),
            _last_sign() <= before,
            *_should_fetch(),
        )
        .order_by(_watch.connection)
    )
    return [(connection, since) for connection, since in rows]


def mark_silent(transaction: Transaction, connection: str, *, since: datetime) -> bool:
    """Mark a connection as silent; False if it is marked already, or has fetched meanwhile."""
    marked = transaction.execute(
        update(connection_watch)
        .where(_watch.connection == connection, _watch.silent_since.is_(None), _last_sign() <= since)
        .values(silent_since=since)
    )
    return bool(marked.rowcount)


def rows(transaction: Transaction, of: Collection[str]) -> dict[str, WatchRow]:
    """How the fetching of the connections `of` stands; those that never enrolled are left out."""
    found = transaction.execute(
        select(_watch.connection, _watch.fetched_at, _watch.silent_since).where(_watch.connection.in_(of))
    )
    return {row.connection: WatchRow(row.fetched_at, row.silent_since) for row in found}


def silent_count(transaction: Transaction) -> int:
    """How many connections are silent that should fetch: one that was suspended, or serves nobody, is not missed."""
    count = (
        select(func.count())
        .select_from(connection_watch)
        .join(connections, connections.c.connection == _watch.connection)
        .where(_watch.silent_since.is_not(None), *_should_fetch())
    )
    return transaction.execute(count).scalar_one()


def served_by(transaction: Transaction, connection: str, *, most: int) -> Served:
    """Whom `connection`, which must exist, serves; up to `most` codes."""
    name = transaction.execute(select(connections.c.name).where(connections.c.connection == connection)).scalar_one()
    here = (agencies.c.connection == connection, agencies.c.status == EntryStatus.ACTIVE)
    count = transaction.execute(select(func.count()).select_from(agencies).where(*here)).scalar_one()
    codes = transaction.scalars(select(agencies.c.code).where(*here).order_by(agencies.c.code).limit(most))
    return Served(name, count, tuple(codes))


def waiting_for(transaction: Transaction, connection: str) -> Waiting:
    """What waits in the mailbox of `connection`: an entry has a delivery for each line of its codes."""
    codes = mailbox_entries.c.codes
    lines = func.length(codes) - func.length(func.replace(codes, "\n", "")) + 1
    deliveries, oldest = transaction.execute(
        select(func.coalesce(func.sum(lines), 0), func.min(mailbox_entries.c.message)).where(
            mailbox_entries.c.connection == connection,
            mailbox_entries.c.open,
            mailbox_entries.c.receipt.is_(None),
        )
    ).one()
    accepted_at = transaction.scalar(select(messages.c.accepted_at).where(messages.c.message == oldest))
    return Waiting(deliveries, accepted_at)


def _should_fetch() -> tuple[ColumnElement[bool], ...]:
    """The connection is active, and an active agency is served by it."""
    return (
        connections.c.status == EntryStatus.ACTIVE,
        exists().where(agencies.c.connection == _watch.connection, agencies.c.status == EntryStatus.ACTIVE),
    )


def _last_sign() -> ColumnElement[datetime]:
    """The last thing that was heard of a connection: a fetch, or that it was let in."""
    return case((_watch.fetched_at > _watch.watched_from, _watch.fetched_at), else_=_watch.watched_from)
