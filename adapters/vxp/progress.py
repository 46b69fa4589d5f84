"""Which messages their software says it has begun with (updateStatus `processing`): they stay in its list, marked."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection
from datetime import timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, Executable, MetaData, String, Table, delete, select
from sqlalchemy.dialects import sqlite

from adapters.sdk import DeliveryKey
from runtime.clock import Clock
from runtime.database import Database, open_database
from schemas.instants import instant_text

_metadata = MetaData()
_begun = Table(
    "begun",
    _metadata,
    Column("delivery", String(100), primary_key=True),
    Column("at", String(27), nullable=False),
    sqlite_with_rowid=False,
)

#: Marks older than this are forgotten at the next start: what was settled elsewhere leaves its own behind.
_KEPT: Final = timedelta(days=90)

#: SQLite takes so many values in one question, everywhere.
_AT_ONCE: Final = 500


class Progress:
    """The marks, in a database of their own. Made by `open_progress`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, key: DeliveryKey) -> None:
        row = {"delivery": str(key), "at": instant_text(self._clock())}
        statement = sqlite.insert(_begun).values(row).on_conflict_do_nothing()
        await self._do(statement)

    async def end(self, key: DeliveryKey) -> None:
        statement = delete(_begun).where(_begun.c.delivery == str(key))
        await self._do(statement)

    async def _do(self, statement: Executable) -> None:
        def do(connection: Connection) -> None:
            connection.execute(statement)

        await self._database.write(do)

    async def begun(self, keys: Collection[DeliveryKey]) -> frozenset[DeliveryKey]:
        """Those of `keys` that are marked."""
        names = {str(key): key for key in keys}
        ordered = list(names)

        def ask(connection: Connection) -> list[str]:
            found: list[str] = []
            for start in range(0, len(ordered), _AT_ONCE):
                question = select(_begun.c.delivery).where(_begun.c.delivery.in_(ordered[start : start + _AT_ONCE]))
                found.extend(connection.scalars(question))
            return found

        return frozenset(names[name] for name in await self._database.read(ask))


@contextlib.asynccontextmanager
async def open_progress(path: Path, clock: Clock) -> AsyncIterator[Progress]:
    """Open, or create, the marks at `path`."""
    before = instant_text(clock() - _KEPT)

    def prepare(connection: Connection) -> None:
        _metadata.create_all(connection)
        connection.execute(delete(_begun).where(_begun.c.at < before))

    async with open_database(path) as database:
        await database.write(prepare)
        yield Progress(database, clock)
