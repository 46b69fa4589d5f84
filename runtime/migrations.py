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
from runtime.revisions import newer


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


def _upgrade(
    connection: Connection, folder: Path, scripts: ScriptDirectory, newest: str | None
) -> tuple[str | None, str | None]:
    before = MigrationContext.configure(connection).get_current_revision()
    if before is not None and before not in {script.revision for script in scripts.walk_revisions()}:
        raise newer(before)
    if before != newest:
        configuration = _configuration(folder)
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")
    return before, newest


@contextlib.contextmanager
def migration_context(connection: Connection) -> Iterator[None]:
    """For an `env.py`: run migrations inside the caller's transaction on its `connection`."""
    from alembic import context  # noqa: PLC0415 - alembic's context exists only while a command runs

    context.configure(connection=connection, transactional_ddl=False, render_as_batch=True)
    yield
