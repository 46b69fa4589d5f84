"""What stands between two releases: the rules of a migration, and a next release that makes use of all of them.

During a rolling upgrade programs of the release before work on in a database that one of the next release has migrated.
So a release adds, and takes away only what the release before it no longer used.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Inspector, inspect

from runtime.revisions import known

_REVISION: Final = "9999"

_MIGRATION: Final = '''
"""As much as a release may do to every table: a column that may be empty, one that fills itself, an index; and more."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in sa.inspect(op.get_bind()).get_table_names():
        if table != "alembic_version":
            op.add_column(table, sa.Column("later_note", sa.Text))
            op.add_column(table, sa.Column("later_count", sa.Integer, nullable=False, server_default="0"))
            op.create_index(f"ix_later_{{table}}", table, ["later_count"])
    op.create_table("later", sa.Column("later", sa.Integer, primary_key=True))
'''


def of_next_release(migrations: Path, folder: Path) -> Path:
    """The migrations of a release that follows on that of `migrations`, in `folder`."""
    made = folder / "migrations"
    shutil.copytree(migrations, made, ignore=shutil.ignore_patterns("__pycache__"))
    text = _MIGRATION.format(revision=_REVISION, before=known(migrations)[-1]).lstrip()
    (made / "versions" / f"{_REVISION}_next.py").write_text(text, encoding="utf-8")
    return made


def migrate_to(connection: Connection, migrations: Path, revision: str) -> None:
    """Bring the schema to `revision`."""
    configuration = Config()
    configuration.set_main_option("script_location", str(migrations))
    configuration.set_main_option("path_separator", "os")
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, revision)


def taken_away(connection: Connection, migrations: Path, before: str, after: str = "head") -> list[str]:
    """What of the empty database's schema at `before` is missing or stricter at `after`, for a program of `before`."""
    migrate_to(connection, migrations, before)
    old = Schema(connection)
    migrate_to(connection, migrations, after)
    return list(old.missing_in(Schema(connection)))


class Schema:
    """The tables of a database as they are, with their columns and what is forbidden in them."""

    def __init__(self, connection: Connection) -> None:
        found = inspect(connection)
        self.columns = {
            table: {
                column["name"]: (str(column["type"]), column["nullable"], column["default"] is not None)
                for column in found.get_columns(table)
            }
            for table in found.get_table_names()
        }
        self.rules = {table: frozenset(_rules(found, table)) for table in self.columns}

    def missing_in(self, newer: Schema) -> Iterator[str]:
        """What a program that knows this schema would miss in a newer one."""
        for table, columns in self.columns.items():
            if table not in newer.columns:
                yield f"the table {table}"
                continue
            now = newer.columns[table]
            for name, (kind, nullable, has_default) in columns.items():
                if name not in now:
                    yield f"the column {table}.{name}"
                elif now[name][0] != kind:
                    yield f"the type of {table}.{name}"
                elif (nullable and not now[name][1]) or (has_default and not now[name][2]):
                    yield f"the freedom to leave out {table}.{name}"
            for name in now.keys() - columns.keys():
                if not now[name][1] and not now[name][2]:
                    yield f"the freedom not to know {table}.{name}"
            # A rule of a new column's is none for those who leave that column out.
            for rule in newer.rules[table] - self.rules[table]:
                if columns.keys() >= set(rule[1:]):
                    yield f"the freedom from a rule of {table}: {rule}"


def _rules(found: Inspector, table: str) -> Iterator[tuple[str, ...]]:
    """Each rule as its kind and the columns that it is about."""
    for index in found.get_indexes(table):
        if index["unique"]:
            yield "unique", *(name for name in index["column_names"] if name is not None)
    for unique in found.get_unique_constraints(table):
        yield "unique", *unique["column_names"]
    for key in found.get_foreign_keys(table):
        yield "reference", *key["constrained_columns"]
