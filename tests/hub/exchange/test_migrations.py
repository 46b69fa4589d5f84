"""Hubs' databases of earlier versions: what they hold is kept, and what was wrong in them is mended."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from hub.store import fanouts
from hub.store.schema import MIGRATIONS
from runtime.database import open_database
from runtime.migrations import upgrade

_MESSAGE = (
    "INSERT INTO messages (message, message_id, from_code, sender, connection, kind, priority, lane, accepted_at,"
    " expires_at, directory_version, recipients_count, recipients_digest, weight, envelope)"
    " VALUES (?, ?, 'H1', 'H1', 'one', 'document', 0, 2, ?, 90, 1, 1, 'd', 9, ?)"
)


def _at_revision(connection: Connection, revision: str) -> None:
    configuration = Config()
    configuration.set_main_option("script_location", str(MIGRATIONS))
    configuration.set_main_option("path_separator", "os")
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, revision)


def _old_database(connection: Connection) -> None:
    _at_revision(connection, "0002")
    connection.exec_driver_sql(
        "INSERT INTO connections (connection, name, status, created_at) VALUES ('one', 'One', 'active', 1)"
    )
    connection.exec_driver_sql(_MESSAGE, [(7, "a" * 64, 11, b"<first/>"), (9, "b" * 64, 12, b"<second/>")])
    connection.exec_driver_sql(
        "INSERT INTO deliveries (message, recipient, connection, state, updated_at)"
        " VALUES (7, 'H2', 'one', 'queued', 11)"
    )


async def test_stored_envelopes_are_kept_when_they_get_a_table_of_their_own(tmp_path: Path) -> None:
    """The migration moves every envelope's bytes, keeps what refers to messages, and starts the time to keep them."""
    async with open_database(tmp_path / "hub.db") as database:
        await database.write(_old_database)
        await upgrade(database, MIGRATIONS)

        def rows(connection: Connection) -> list[tuple[object, ...]]:
            joined = connection.exec_driver_sql(
                "SELECT message, body, kept_from, purged_at, recipient"
                " FROM messages JOIN envelopes USING (message) LEFT JOIN deliveries USING (message) ORDER BY message"
            )
            return [tuple(row) for row in joined]

        assert await database.read(rows) == [
            (7, b"<first/>", 11, None, "H2"),
            (9, b"<second/>", 12, None, None),
        ]


def _entries_for_nobody(connection: Connection) -> None:
    _at_revision(connection, "0008")
    connection.exec_driver_sql(
        "INSERT INTO connections (connection, name, status, created_at) VALUES ('one', 'One', 'active', 1)"
    )
    connection.exec_driver_sql(
        "INSERT INTO messages (message, message_id, from_code, sender, connection, kind, priority, lane, accepted_at,"
        " expires_at, directory_version, recipients_count, recipients_digest, weight)"
        " VALUES (7, 'a', 'H1', 'H1', 'one', 'document', 0, 2, 1, 90, 1, 1, 'd', 9),"
        " (8, 'b', 'H1', 'H1', 'one', 'document', 0, 2, 1, 90, 1, 1, 'd', 9)"
    )
    connection.exec_driver_sql(
        "INSERT INTO mailbox_entries (entry, connection, lane, message, codes, weight, open, available_at, lapses,"
        " attempts) VALUES (1, 'one', 2, 7, '', 9, 1, 1, 0, 5), (2, 'one', 2, 8, 'H2', 9, 1, 1, 0, 0)"
    )


async def test_an_entry_that_was_opened_again_for_nobody_is_closed(tmp_path: Path) -> None:
    """Earlier versions replayed what had been refused, for no agency and without an end; the upgrade ends that."""
    async with open_database(tmp_path / "hub.db") as database:
        await database.write(_entries_for_nobody)
        await upgrade(database, MIGRATIONS)
        rows = await database.read(
            lambda connection: connection.exec_driver_sql("SELECT entry, open FROM mailbox_entries").all()
        )
        assert [tuple(row) for row in rows] == [(1, 0), (2, 1)]


def _fans_out(connection: Connection) -> None:
    """A fan-out in the middle: five of six targets are left, of which connection `a` has written one of three."""
    _at_revision(connection, "0011")
    connection.exec_driver_sql(
        "INSERT INTO connections (connection, name, status, created_at) VALUES ('a', 'A', 'active', 1),"
        " ('b', 'B', 'active', 1), ('one', 'One', 'active', 1)"
    )
    connection.exec_driver_sql(
        "INSERT INTO messages (message, message_id, from_code, sender, connection, kind, priority, lane, accepted_at,"
        " expires_at, directory_version, recipients_count, recipients_digest, weight)"
        " VALUES (7, 'a', 'H1', 'H1', 'one', 'document', 0, 2, 1, 90, 1, 6, 'd', 9)"
    )
    lines = "\n".join(("a H2", "a H3", "a H4", "b H5", "b H6", "b H7"))
    connection.exec_driver_sql("INSERT INTO fanouts VALUES (7, 2, ?, 1)", (lines,))


async def test_a_fan_out_that_was_under_way_goes_on_after_the_upgrade(tmp_path: Path) -> None:
    """The deliveries that were left are written, and each connection gets its entry with all its codes, once."""
    async with open_database(tmp_path / "hub.db") as database:
        await database.write(_fans_out)
        await upgrade(database, MIGRATIONS)
        at = datetime(2026, 11, 21, tzinfo=UTC)
        assert await database.write(partial(fanouts.go_on_with, message=7, at=at)) == ("a", "b")
        assert await database.write(partial(fanouts.go_on_with, message=7, at=at)) is None

        def rows(connection: Connection) -> tuple[list[str], list[tuple[str, str]]]:
            written = connection.exec_driver_sql("SELECT recipient FROM deliveries ORDER BY recipient").scalars()
            entries = connection.exec_driver_sql("SELECT connection, codes FROM mailbox_entries ORDER BY connection")
            return list(written), [(row.connection, row.codes) for row in entries]

        assert await database.read(rows) == (
            ["H3", "H4", "H5", "H6", "H7"],
            [("a", "H2\nH3\nH4"), ("b", "H5\nH6\nH7")],
        )
