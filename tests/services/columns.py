"""Where a test's databases are: files, or databases of a PostgreSQL server. The same test runs on both columns."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import tempfile
from abc import ABC, abstractmethod
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Engine

from runtime.database import Database, DatabasePlace, open_database
from runtime.migrations import upgrade
from tests.services.postgres import PostgresServer

#: Empties every table but that of the revision, and lets numbers begin again; in a tenth of the time of a new database.
_EMPTY = """
SET session_replication_role = replica;
DO $$ DECLARE name text; BEGIN
    PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    FOR name IN SELECT relname FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
        LOOP EXECUTE format('DELETE FROM %I', name); END LOOP;
    FOR name IN SELECT sequencename FROM pg_sequences WHERE last_value IS NOT NULL
        LOOP EXECUTE format('ALTER SEQUENCE %I RESTART', name); END LOOP;
END $$
"""

#: For a test that looks into SQLite itself.
ON_SQLITE: Final = pytest.mark.parametrize("column", ["sqlite"], indirect=True)


def engines(database: Database) -> tuple[Engine, Engine]:
    """What `database` reads by, and what it writes by: to listen to."""
    reader, writer = database._reader, database._writer
    return getattr(reader, "sync_engine", reader), getattr(writer, "sync_engine", writer)


class DatabaseColumn(ABC):
    """Gives databases to tests. A place that was given for a file is the one given again for it."""

    name: str

    def __init__(self) -> None:
        self._places: dict[Path, DatabasePlace] = {}

    def place(self, file: Path, migrations: Path | None = None) -> DatabasePlace:
        """The database that stands for `file`: empty, with the newest schema of `migrations` if they are given."""
        if file not in self._places:
            self._places[file] = self._make(file, migrations)
        return self._places[file]

    @abstractmethod
    def _make(self, file: Path, migrations: Path | None) -> DatabasePlace: ...

    def forget(self) -> None:
        """The test is over."""
        self._places.clear()


class SqliteColumn(DatabaseColumn):
    """Files in the test's folder, copied from one that was migrated; one that is there already is left as it is."""

    name = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self._templates: Path | None = None

    def _make(self, file: Path, migrations: Path | None) -> DatabasePlace:
        if migrations is not None and not file.exists():
            self._templates = self._templates or Path(tempfile.mkdtemp(prefix="congvan-templates-"))
            template = self._templates / migrations.parts[-3]
            if not template.exists():
                made = template.with_suffix(".made")
                _migrate(made, migrations)
                # What was migrated may stand beside the file still, in its log.
                with contextlib.closing(sqlite3.connect(made)) as connection:
                    connection.execute("VACUUM INTO ?", (str(template),))
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(template, file)
        return file

    def remove(self) -> None:
        if self._templates is not None:
            shutil.rmtree(self._templates)


class PostgresColumn(DatabaseColumn):
    """Databases of one server; those with a schema are emptied after a test and given to a later one."""

    name = "postgres"

    def __init__(self, server: PostgresServer) -> None:
        super().__init__()
        self.server = server
        self._empty: dict[Path, list[str]] = defaultdict(list)
        self._given: list[tuple[str, Path | None]] = []

    def _make(self, file: Path, migrations: Path | None) -> DatabasePlace:
        if migrations is None:
            name = self.server.create_database()
        elif self._empty[migrations]:
            name = self._empty[migrations].pop()
        else:
            name = self.server.create_database()
            _migrate(self.server.address(name), migrations)
        self._given.append((name, migrations))
        return self.server.address(name)

    def forget(self) -> None:
        super().forget()
        while self._given:
            name, migrations = self._given.pop()
            if migrations is None:
                self.server.drop_database(name)
            else:
                self.server.sql(_EMPTY, name)
                self._empty[migrations].append(name)


def _migrate(place: DatabasePlace, migrations: Path) -> None:
    async def run() -> None:
        async with open_database(place) as database:
            await upgrade(database, migrations)

    # In a thread: a test that asks for a place may be running in an event loop.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, run()).result()
