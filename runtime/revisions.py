"""Which revision a database's schema is of, without Alembic: its import costs a command more than all of its questions.

A file of `store/migrations/versions` is named by its revision, and revisions are in the order of their names.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

import sqlalchemy
from sqlalchemy import Connection

from schemas.errors import Unavailable

_TABLE: Final = "alembic_version"


@lru_cache
def known(folder: Path) -> tuple[str, ...]:
    """The revisions that the program knows by its migrations in `folder`, in order."""
    return tuple(sorted(file.name.partition("_")[0] for file in (folder / "versions").glob("[0-9]*.py")))


def require_newest(connection: Connection, folder: Path) -> None:
    """Pass for a database of the newest schema.

    Raises `database-newer`, and `database-outdated` for one that is still to be migrated.
    """
    found: str | None = None
    if sqlalchemy.inspect(connection).has_table(_TABLE):
        found = connection.exec_driver_sql(f"SELECT version_num FROM {_TABLE}").scalar()  # noqa: S608 - a constant
    revisions = known(folder)
    if found is not None and found not in revisions:
        raise newer(found)
    if found != revisions[-1]:
        raise Unavailable(
            "database-outdated",
            f"The database is at revision {found or 'none'}; this program works with {revisions[-1]}.",
            mend="Start `serve`, or run `congvan hub migrate` or `congvan node migrate` with its folder.",
        )


def newer(found: str) -> Unavailable:
    """The refusal of a database that a newer program has made or migrated."""
    return Unavailable(
        "database-newer",
        f"The database is at revision {found}, which this program does not know.",
        mend="Start the newer program, or restore a backup made by this one.",
    )
