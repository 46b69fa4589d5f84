"""The database of a program: snapshots to read in, and writes that commit in groups.

`Database.read` runs a store function in a snapshot. `Database.write` runs one in a transaction that it may share with
the writes waiting at that moment: at once when idle, many to a sync under load. When `write` returns, what it wrote is
durable. Whether that is a SQLite file or a PostgreSQL server is decided by the place that is opened.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias

from runtime.database_postgres import PostgresDatabase
from runtime.database_sqlite import SqliteDatabase
from runtime.grouped_writes import Database, DatabaseFailed
from runtime.postgres_address import PostgresAddress
from schemas.errors import Rejected

__all__ = ["Database", "DatabaseFailed", "DatabasePlace", "open_database"]

#: A SQLite file, or a database on a PostgreSQL server.
DatabasePlace: TypeAlias = Path | PostgresAddress


@contextlib.asynccontextmanager
async def open_database(place: DatabasePlace, *, must_exist: bool = False) -> AsyncIterator[Database]:
    """Open the database at `place`; a file is made (0600) if need be, a server's database has to be there.

    On leaving, waiting writes end first. Raises `database-missing` for a file that `must_exist` and does not, and as
    `PostgresDatabase.check` does for a server that cannot be relied on.
    """
    if isinstance(place, Path):
        if must_exist and not place.is_file():
            raise Rejected(
                "database-missing",
                f"The database {place} is missing, without which the folder is no hub or node.",
                mend="Put it back from a backup, or correct [database] url if it is on a server.",
            )
        async with SqliteDatabase(place) as database:
            yield database
    else:
        async with PostgresDatabase(place) as server:
            await server.check()
            yield server
