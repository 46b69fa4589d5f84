"""Many agencies at once: found, added and changed by statements of many rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy import Table, bindparam, insert, select, update

from hub.store import agencies as agency_store
from hub.store.directory_tables import agencies, connections, older_codes
from hub.store.metadata import Transaction
from runtime.columns import insert_or
from schemas.directory import AgencyEntry, ConnectionEntry, EntryStatus

#: Rows or keys in one statement: fewer round trips, and well below what a statement may bind.
_TOGETHER: Final = 1000


@dataclass(frozen=True, slots=True)
class AgencyRows:
    """What is known of some codes and connections: `holders` give the agency of each code, of today or older."""

    entries: dict[str, AgencyEntry]
    holders: dict[str, str]
    connections: frozenset[str]


def find(transaction: Transaction, codes: Collection[str], ids: Collection[str]) -> AgencyRows:
    """The agencies among `codes`, and the connections among `ids`, that there are."""
    holders = {asked: agency.code for asked, agency in agency_store.resolve(transaction, codes).items()}
    entries = agency_store.entries(transaction, list(dict.fromkeys(holders.values())))
    known: set[str] = set()
    for part in _parts(ids):
        known.update(transaction.scalars(select(connections.c.connection).where(connections.c.connection.in_(part))))
    return AgencyRows({entry.code.value: entry for entry in entries}, holders, frozenset(known))


def add_connections(transaction: Transaction, entries: Iterable[ConnectionEntry], *, at: datetime) -> None:
    """Add connections. The caller has seen that their ids are free."""
    _insert(
        transaction,
        connections,
        (
            {"connection": entry.connection, "name": entry.name, "status": entry.status, "created_at": at}
            for entry in entries
        ),
    )


def add(transaction: Transaction, entries: Sequence[AgencyEntry], *, at: datetime) -> None:
    """Add new agencies. The caller has seen that none of their codes is taken."""
    _insert(
        transaction,
        agencies,
        (
            {
                "code": entry.code.value,
                "name": entry.name,
                "connection": entry.connection,
                "status": EntryStatus.ACTIVE,
                "added_at": at,
            }
            for entry in entries
        ),
    )
    _insert(transaction, older_codes, _older(entries))


def change(transaction: Transaction, entries: Sequence[AgencyEntry]) -> None:
    """Give agencies their names, and the older codes that they do not have yet."""
    for part in _parts(entries):
        transaction.execute(
            update(agencies).where(agencies.c.code == bindparam("of_code")).values(name=bindparam("new_name")),
            [{"of_code": entry.code.value, "new_name": entry.name} for entry in part],
        )
    for rows in _parts(_older(entries)):
        transaction.execute(insert_or(transaction, older_codes).on_conflict_do_nothing(), list(rows))


def _older(entries: Iterable[AgencyEntry]) -> Iterable[dict[str, Any]]:
    return ({"older_code": older.value, "code": entry.code.value} for entry in entries for older in entry.older_codes)


def _insert(transaction: Transaction, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    for part in _parts(rows):
        transaction.execute(insert(table), list(part))


def _parts(values: Iterable[Any]) -> Iterable[Sequence[Any]]:
    left = iter(values)
    while part := list(islice(left, _TOGETHER)):
        yield part
