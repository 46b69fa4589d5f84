"""Migrations add before they take away, so that programs of two releases serve at once (docs/operations.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine

import hub.store.schema
import node.store.migrate
from tests.next_release import Schema, taken_away

#: The migrations of each program, and the oldest revision beside whose programs this tree's may serve. A release that
#: is made moves that to its own.
PROGRAMS = [(hub.store.schema.MIGRATIONS, "0012"), (node.store.migrate.MIGRATIONS, "0012")]

_TABLE = "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c INTEGER NOT NULL DEFAULT 0)"


@pytest.mark.parametrize(("migrations", "before"), PROGRAMS, ids=["hub", "node"])
def test_what_the_release_before_says_is_understood(migrations: Path, before: str) -> None:
    """No table and no column goes, and nothing becomes stricter, that a program of the release before works with."""
    with create_engine("sqlite://").connect() as connection:
        assert taken_away(connection, migrations, before) == []


def test_a_table_that_goes_is_noticed() -> None:
    """A migration that once took away what programs of then used is found by what the others are checked with."""
    with create_engine("sqlite://").connect() as connection:
        assert taken_away(connection, hub.store.schema.MIGRATIONS, "0011", "0012") == ["the table fanouts"]


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("ALTER TABLE t DROP COLUMN b", "the column t.b"),
        ("ALTER TABLE t RENAME COLUMN b TO d", "the column t.b"),
        ("CREATE UNIQUE INDEX u ON t (b)", "the freedom from a rule of t: ('unique', 'b')"),
        (_TABLE.replace("b TEXT", "b TEXT NOT NULL"), "the freedom to leave out t.b"),
        (_TABLE.replace(" DEFAULT 0", ""), "the freedom to leave out t.c"),
        (_TABLE.replace("b TEXT", "b INTEGER"), "the type of t.b"),
        (_TABLE.replace(")", ", d INTEGER NOT NULL)"), "the freedom not to know t.d"),
        (_TABLE.replace("b TEXT", "b TEXT REFERENCES t"), "the freedom from a rule of t: ('reference', 'b')"),
        (_TABLE.replace(")", ", d INTEGER UNIQUE, e INTEGER NOT NULL DEFAULT 0)"), None),
    ],
)
def test_what_becomes_stricter_is_noticed(statement: str, missing: str | None) -> None:
    """Whatever a program that knows the old table would stumble over is named, and what it would not is not."""
    with create_engine("sqlite://").connect() as connection:
        connection.exec_driver_sql(_TABLE)
        old = Schema(connection)
        if statement.startswith("CREATE TABLE"):
            connection.exec_driver_sql("DROP TABLE t")
        connection.exec_driver_sql(statement)
        assert next(old.missing_in(Schema(connection)), None) == missing
