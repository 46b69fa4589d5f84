"""Schema migrations by Alembic: one linear history in each program's `store/migrations`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from runtime.database import Database
from schemas.errors import Unavailable


def _configuration(folder: Path) -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(folder))
    configuration.set_main_option("path_separator", "os")
    return configuration


async def upgrade(database: Database, folder: Path) -> tuple[str | None, str | None]:
    """Bring the schema to the newest revision in one transaction; gives the revisions before and after.

    `folder` holds Alembic's `env.py` and `versions/`. A database from a newer program is refused
    (`database-newer`), never touched.
    """
    # Read before the transaction, so that nobody is kept out for longer than need be.
    scripts = ScriptDirectory.from_config(_configuration(folder))
    newest = scripts.get_current_head()
    return await database.exclusively(partial(_upgrade, folder=folder, scripts=scripts, newest=newest))


def upgrade_within(connection: Connection, folder: Path) -> tuple[str | None, str | None]:
    """The same as a part of the caller's transaction, beside which nobody else migrates."""
    scripts = ScriptDirectory.from_config(_configuration(folder))
    return _upgrade(connection, folder, scripts, scripts.get_current_head())


def require_newest(connection: Connection, folder: Path) -> None:
    """Pass for a database of the newest schema, for who only reads.

    Raises `database-newer`, and `database-outdated` for one that is still to be migrated.
    """
    scripts = ScriptDirectory.from_config(_configuration(folder))
    found = _known_revision(connection, scripts)
    if found != scripts.get_current_head():
        raise Unavailable(
            "database-outdated",
            f"The database is at revision {found or 'none'}; this program works with {scripts.get_current_head()}.",
            mend="Run `congvan hub migrate` or `congvan node migrate` with its folder.",
        )


def _upgrade(
    connection: Connection, folder: Path, scripts: ScriptDirectory, newest: str | None
) -> tuple[str | None, str | None]:
    before = _known_revision(connection, scripts)
    if before != newest:
        configuration = _configuration(folder)
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")
    return before, newest


def _known_revision(connection: Connection, scripts: ScriptDirectory) -> str | None:
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise Unavailable(
            "database-newer",
            f"The database is at revision {found}, which this program does not know.",
            mend="Start the newer program, or restore a backup made by this one.",
        )
    return found


@contextlib.contextmanager
def migration_context(connection: Connection) -> Iterator[None]:
    """For an `env.py`: run migrations inside the caller's transaction on its `connection`."""
    from alembic import context  # noqa: PLC0415 - alembic's context exists only while a command runs

    context.configure(connection=connection, transactional_ddl=False, render_as_batch=True)
    yield
