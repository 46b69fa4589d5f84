"""Moving a stopped hub from its SQLite file to a PostgreSQL database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from hub.app import already_running
from hub.settings import HubFolder
from hub.store.metadata import Transaction
from hub.store.schema import MIGRATIONS
from hub.usecases.database_move import DatabaseMove, move, require_empty
from runtime.database import open_database
from runtime.database_sqlite import others_kept_out
from runtime.locks import exclusive
from runtime.migrations import upgrade, upgrade_within
from runtime.postgres_address import DatabaseSettings, PostgresAddress
from schemas.errors import Rejected


async def copy_database(
    folder: HubFolder, to: DatabaseSettings, *, began: Callable[[int], None], advanced: Callable[[int], None]
) -> DatabaseMove:
    """Copy the state of the hub in `folder` to the empty database that `to` names; settings and file stay as they are.

    The file is brought to the newest schema first. What is broken off has written nothing. Raises `hub-running`,
    `database-on-server`, `database-missing`, `database-not-empty`, and as `move` does.
    """
    source = _file_of(folder)
    target = to.place(folder.root, source)
    if not isinstance(target, PostgresAddress):
        raise Rejected(
            "database-no-server", "--to names no server.", mend="Write --to postgresql://user@host:5432/name."
        )
    with ExitStack() as stack:
        stack.enter_context(exclusive(folder.serving_lock, already_running(folder)))
        async with open_database(source) as database:
            await upgrade(database, MIGRATIONS)
        kept = stack.enter_context(others_kept_out(source))
        given_up = asyncio.Event()

        def told(rows: int) -> None:
            if given_up.is_set():
                # The transaction would go on to its end without its caller.
                raise asyncio.CancelledError
            advanced(rows)

        def work(transaction: Transaction) -> DatabaseMove:
            require_empty(transaction)
            upgrade_within(transaction, MIGRATIONS)
            return move(kept, transaction, began=began, advanced=told)

        async with open_database(target) as server:
            try:
                return await server.exclusively(work)
            finally:
                given_up.set()


def _file_of(folder: HubFolder) -> Path:
    place = folder.database(folder.read_settings().database)
    if not isinstance(place, Path):
        raise Rejected(
            "database-on-server",
            f"The hub keeps its state on a server already: {place}.",
            mend="Copy from one server to another with PostgreSQL's own pg_dump and pg_restore.",
        )
    if not place.is_file():
        raise Rejected("database-missing", f"There is no database {place}.", mend="Put it back from a backup.")
    return place
