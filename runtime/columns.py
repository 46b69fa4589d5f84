"""Column types and statements that mean the same on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from sqlalchemy import BigInteger, Connection, Dialect, Executable, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeDecorator

Insert: TypeAlias = sqlite.Insert | postgresql.Insert

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, kept as whole microseconds since 1970: exact, sortable, equal in both databases."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        if value is None:
            return None
        since = value - _EPOCH
        # What `since // _MICROSECOND` gives, for half the time: every row of a document's way has an instant or two.
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - as above
        return None if value is None else _EPOCH + value * _MICROSECOND


def insert_or(connection: Connection, table: Table) -> Insert:
    """An INSERT that takes `on_conflict_do_nothing` and `on_conflict_do_update`, in the dialect of `connection`."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


class Upsert:
    """An INSERT into `table` that `finish` gives its ON CONFLICT clause, built once for each dialect.

    To build a statement costs four times what it costs to run one that was built before.
    """

    def __init__(self, table: Table, finish: Callable[[Insert], Executable]) -> None:
        self._built: Final = {
            "postgresql": finish(postgresql.insert(table)),
            "sqlite": finish(sqlite.insert(table)),
        }

    def on(self, connection: Connection) -> Executable:
        """The statement in the dialect of `connection`."""
        return self._built[connection.dialect.name]


def stored_bytes(value: bytes | str | None) -> bytes | None:
    """The bytes of a LargeBinary column, also where a hand made a text of them (SQLite keeps whatever it is given)."""
    return value.encode() if isinstance(value, str) else value
