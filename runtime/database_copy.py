"""A copy of a SQLite database that programs are writing to, and reading one that nobody writes to."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import sqlalchemy
from sqlalchemy import Connection

from runtime.files import PRIVATE, storage_errors
from schemas.errors import Rejected

#: Pages copied between two words on progress: 16 MiB of SQLite's usual pages.
_STEP: Final = 4096


def copy_database(source: Path, target: Path, *, began: Callable[[int], None], advanced: Callable[[int], None]) -> None:
    """Copy the database at `source`, as of one moment, to the new file `target` (0600); writers are not kept waiting.

    `began` is told the number of pages, `advanced` each step. The copy is not synced yet.
    """
    with storage_errors(target):
        target.touch(mode=PRIVATE, exist_ok=False)
    done = 0

    def told(_status: int, remaining: int, total: int) -> None:
        nonlocal done
        if done == 0:
            began(total)
        advanced(total - remaining - done)
        done = total - remaining

    uri = f"{source.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as live, closing(sqlite3.connect(target)) as copy:
        # A snapshot that is held: without it SQLite begins anew each time that somebody writes between two steps.
        live.execute("BEGIN")
        live.execute("SELECT count(*) FROM sqlite_master").fetchone()
        live.backup(copy, pages=_STEP, progress=told)


@contextlib.contextmanager
def reading_copy(path: Path) -> Iterator[Connection]:
    """The database at `path`, which nobody writes to: nothing is made beside it, wherever it lies.

    Raises `database-damaged` if SQLite finds it damaged.
    """
    engine = sqlalchemy.create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    )
    try:
        with engine.connect() as connection:
            yield connection
    except sqlalchemy.exc.DatabaseError as error:
        raise Rejected(
            "database-damaged", f"{path}: {error.orig}.", mend="Take another backup; see the disk and the system's log."
        ) from error
    finally:
        engine.dispose()


def damage_of(connection: Connection) -> str | None:
    """What SQLite finds wrong with a database in its own structure; None if nothing."""
    said = str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one())
    return None if said == "ok" else said


def revision_of(connection: Connection) -> str:
    """The revision of the schema."""
    return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())
