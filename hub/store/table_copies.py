"""Every table of a hub, row by row, from one database into another: what a move to another kind of database writes.

SQLite keeps whatever it is given, PostgreSQL what a column declares: a row that does not fit is refused by its table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import sqlalchemy
from sqlalchemy import LargeBinary, Table, func, insert, select
from sqlalchemy.exc import DBAPIError

from hub.store import (  # noqa: F401 - their tables are part of `metadata` once they are imported
    directory_tables,
    exchange_tables,
    mark_tables,
    rejection_tables,
    space_tables,
    watch_tables,
    work_tables,
)
from hub.store.metadata import Transaction, metadata
from runtime.columns import stored_bytes
from runtime.database_sqlite import driver_errors
from runtime.postgres_errors import sqlstate
from schemas.errors import Rejected

#: Rows that are written at a time, and rows with documents in them that are in memory at a time.
_ROWS: Final = 1000
_DOCUMENTS: Final = 32

#: PostgreSQL's classes of errors (appendix A) for a value that its column does not take, and a broken constraint.
_UNFIT: Final = ("22", "23")

_LAST_NUMBER: Final = sqlalchemy.text(
    "SELECT setval(pg_get_serial_sequence(:table, :column), CAST(:number AS bigint))"
    " WHERE pg_get_serial_sequence(:table, :column) IS NOT NULL"
)


def is_empty(transaction: Transaction) -> bool:
    """True if the database has no tables at all."""
    return not sqlalchemy.inspect(transaction).get_table_names()


def counts(transaction: Transaction) -> Mapping[str, int]:
    """How many rows each table has."""
    with driver_errors():
        return {
            table.name: transaction.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }


def copy_rows(source: Transaction, target: Transaction, *, copied: Callable[[int], None]) -> None:
    """Write every row of `source`, a SQLite database, into the empty tables of `target`, what is referred to first.

    `copied` is told of each batch. Raises `row-does-not-fit`.
    """
    for table in metadata.sorted_tables:
        for rows in _batches(source, table):
            try:
                target.execute(insert(table), rows)
            except DBAPIError as error:
                if not (sqlstate(error) or "").startswith(_UNFIT):
                    raise
                raise Rejected(
                    "row-does-not-fit",
                    f"A row of the table {table.name} cannot be written to PostgreSQL: {error.orig}.",
                    mend="Nothing was copied. Somebody changed it by hand; see `congvan hub audit`, and mend the row.",
                ) from error
            copied(len(rows))


def count_on(target: Transaction) -> None:
    """Let the numbers that `target`, on PostgreSQL, gives by itself go on after the highest that it holds."""
    for table in metadata.sorted_tables:
        for column in table.primary_key.columns:
            if column.autoincrement is True:
                highest = target.scalar(select(func.max(column)))
                if highest is not None:
                    target.execute(_LAST_NUMBER, {"table": table.name, "column": column.name, "number": highest})


def _batches(source: Transaction, table: Table) -> Iterator[list[dict[str, Any]]]:
    documents = [column.name for column in table.columns if isinstance(column.type, LargeBinary)]
    statement = select(table).execution_options(yield_per=_DOCUMENTS if documents else _ROWS)
    with driver_errors():
        for rows in source.execute(statement).mappings().partitions():
            yield [dict(row) | {name: stored_bytes(row[name]) for name in documents} for row in rows]
