"""The keys of the deliveries that in/ has had: what is moved away or deleted there never comes back.

A key is committed when its folder is staged, complete and synced, just before the one rename that shows it. From then
on the delivery belongs to in/: either the staged folder is still there, and only the rename is missing, or it is gone,
because the rename was made, wherever the folder went afterwards. So there is no moment at which a crash makes the
message come twice, or not at all.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, select
from sqlalchemy.dialects import sqlite

from adapters.sdk import DeliveryKey
from runtime.database import Database, open_database
from schemas.instants import instant_text

_metadata = MetaData()
_keys = Table(
    "committed_keys",
    _metadata,
    Column("message_id", String(64), primary_key=True),
    Column("recipient", String(35), primary_key=True),
    Column("committed_at", String(27), nullable=False),
    sqlite_with_rowid=False,
)


class CommittedKeys:
    """The keys, in a database of their own. Made by `open_keys`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def has(self, key: DeliveryKey) -> bool:
        question = select(_keys.c.message_id).where(
            _keys.c.message_id == key.message_id, _keys.c.recipient == key.recipient.value
        )

        def ask(connection: Connection) -> bool:
            return connection.execute(question).first() is not None

        return await self._database.read(ask)

    async def commit(self, key: DeliveryKey, at: datetime) -> None:
        """Durable when this returns; no error if it was committed before."""
        row = {"message_id": key.message_id, "recipient": key.recipient.value, "committed_at": instant_text(at)}
        statement = sqlite.insert(_keys).values(row).on_conflict_do_nothing()

        def commit(connection: Connection) -> None:
            connection.execute(statement)

        await self._database.write(commit)


@contextlib.asynccontextmanager
async def open_keys(path: Path) -> AsyncIterator[CommittedKeys]:
    """Open, or create, the database of keys at `path`."""
    async with open_database(path) as database:
        await database.write(_metadata.create_all)
        yield CommittedKeys(database)
