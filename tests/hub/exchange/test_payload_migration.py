"""A hub's database from before payloads had a table of their own."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from hub.store.schema import MIGRATIONS
from runtime.database import open_database
from runtime.migrations import upgrade

_MESSAGE = (
    "INSERT INTO messages (message, message_id, from_code, sender, connection, kind, priority, lane, accepted_at,"
    " expires_at, directory_version, recipients_count, recipients_digest, weight, envelope)"
    " VALUES (?, ?, 'H1', 'H1', 'one', 'document', 0, 2, ?, 90, 1, 1, 'd', 9, ?)"
)


def _old_database(connection: Connection) -> None:
    configuration = Config()
    configuration.set_main_option("script_location", str(MIGRATIONS))
    configuration.set_main_option("path_separator", "os")
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, "0002")
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
