"""Hubs' databases of earlier versions: what they hold is kept, and what was wrong in them is mended."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from hub.store import fanouts, mailboxes, space, submissions
from hub.store.schema import MIGRATIONS
from hub.store.submissions import SubmissionKey, Upload
from runtime.database import open_database
from runtime.migrations import upgrade
from tests.services.columns import DatabaseColumn

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


#: What a hub of the release before holds: a message of which one of three deliveries is written, with its mailbox entry
#: and its envelope; and a submission of which one attachment is there, and one is on its way.
_RELEASE_BEFORE = """
INSERT INTO connections (connection, name, status, created_at)
    VALUES ('a', 'A', 'active', 1), ('one', 'One', 'active', 1);
INSERT INTO messages (message, message_id, from_code, sender, connection, kind, priority, lane, accepted_at,
    expires_at, directory_version, recipients_count, recipients_digest, weight)
    VALUES (7, 'm', 'H1', 'H1', 'one', 'document', 0, 2, 1, 90, 1, 3, 'd', 9);
INSERT INTO envelopes (message, body) VALUES (7, CAST('edxml' AS {bytes}));
INSERT INTO deliveries (message, recipient, connection, state, updated_at) VALUES (7, 'H2', 'one', 'queued', 1);
INSERT INTO mailbox_entries (entry, connection, lane, message, codes, weight, open, available_at, lapses, attempts)
    VALUES (3, 'one', 2, 7, 'H2', 9, true, 1, 0, 5);
INSERT INTO fanouts (message, lane, targets, position) VALUES (7, 2, 'one H2\na H3\na H4', 1);
INSERT INTO submissions (submission, connection, from_code, message_id, touched_at)
    VALUES (5, 'one', 'H1', 'n', 11);
INSERT INTO uploads (upload, submission, digest, size, file, complete, content)
    VALUES ('u1', 5, 'there', 4, 'f1', true, CAST('%PDF' AS {bytes})),
    ('u2', 5, 'coming', 5000000000, 'f2', false, NULL)
"""


def _of_the_release_before(connection: Connection) -> None:
    _at_revision(connection, "0009")
    is_server = connection.dialect.name == "postgresql"
    for statement in _RELEASE_BEFORE.format(bytes="BYTEA" if is_server else "BLOB").split(";"):
        connection.execute(text(statement))
    if is_server:
        # The hub of then took these numbers from the server.
        for table, column in (("messages", "message"), ("mailbox_entries", "entry"), ("submissions", "submission")):
            highest = f"(SELECT max({column}) FROM {table})"
            connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), {highest})"))


async def test_a_filled_hub_of_the_release_before_goes_on_after_the_upgrade(
    tmp_path: Path, column: DatabaseColumn
) -> None:
    """Its fan-out is ended, its entry and its uploads are as they were, room is promised, new rows get new numbers."""
    at = datetime(2026, 11, 21, tzinfo=UTC)
    key = SubmissionKey("one", "H1", "n")
    async with open_database(column.place(tmp_path / "hub.db")) as database:
        await database.exclusively(_of_the_release_before)
        assert (await upgrade(database, MIGRATIONS))[0] == "0009"

        assert await database.read(partial(submissions.pinned, key=key)) == {
            "there": Upload("u1", "there", 4, "f1", complete=True, content=b"%PDF"),
            "coming": Upload("u2", "coming", 5_000_000_000, "f2", complete=False, content=None),
        }
        assert await database.read(partial(space.promised_to, connection="one")) == (5_000_000_000, 1)
        await database.write(partial(submissions.note_progress, upload="u2", received=4_000_000_000, at=at))
        assert await database.read(partial(space.promised_to, connection="one")) == (1_000_000_000, 1)
        wanted = [Upload("u3", "other", 9, "f3", complete=False, content=None)]
        other = SubmissionKey("a", "H3", "o")
        assert await database.write(partial(submissions.pin, key=other, wanted=wanted, most=9, at=at)) is not None

        assert await database.read(partial(fanouts.recipients, message=7)) == ["H2", "H3", "H4"]
        assert await database.write(partial(fanouts.go_on_with, message=7, at=at)) == ("a",)
        assert await database.write(partial(fanouts.go_on_with, message=7, at=at)) is None
        assert sorted((await database.read(partial(mailboxes.entries_of, message=7))).items()) == [("a", 4), ("one", 3)]
        (entry,) = (await database.read(partial(mailboxes.find, connection="one", entries=[3]))).values()
        assert (entry.codes, entry.attempts) == (("H2",), 5)
