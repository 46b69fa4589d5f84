"""The node's migrations give exactly the tables that its store speaks of."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from node.store import agency_search, deadlines, outbox, requests, selection, transfers
from node.store.migrate import MIGRATIONS
from node.store.states import DeadlineStage, RequestState
from node.store.tables import metadata
from runtime.database import open_database
from runtime.migrations import upgrade
from tests.services.columns import DatabaseColumn


async def test_the_migrations_make_the_tables_that_the_store_declares(tmp_path: Path, column: DatabaseColumn) -> None:
    """After `upgrade` no table, column, index or constraint differs from what the store declares."""

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    def without_rowid(connection: Connection) -> set[str]:
        statements = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        return {row.name for row in statements if "WITHOUT ROWID" in row.sql}

    async with open_database(column.place(tmp_path / "node.db")) as database:
        before, after = await upgrade(database, MIGRATIONS)
        assert before is None
        assert after is not None
        assert await database.read(differences) == []
        if column.name != "sqlite":
            return
        declared = {
            table.name for table in metadata.tables.values() if table.dialect_options["sqlite"]["with_rowid"] is False
        }
        assert await database.read(without_rowid) == declared


async def test_of_two_programs_that_start_together_one_migrates(tmp_path: Path, column: DatabaseColumn) -> None:
    """Both come to the newest revision, and the second finds nothing left to do; later upgrades change nothing."""
    place = column.place(tmp_path / "node.db")
    async with open_database(place) as database, open_database(place) as other:
        starts = await asyncio.gather(upgrade(database, MIGRATIONS), upgrade(other, MIGRATIONS))
        (newest,) = {after for _, after in starts}
        assert {before for before, _ in starts} == {None, newest}
        assert await upgrade(database, MIGRATIONS) == (newest, newest)
        assert await database.read(lambda connection: "outbox" in inspect(connection).get_table_names())


async def test_a_record_from_before_gets_its_requests_and_deadlines(tmp_path: Path) -> None:
    """Recalls and updates on record become requests with their answers; documents that came get their deadlines."""
    old = tmp_path / "old"
    shutil.copytree(MIGRATIONS, old, ignore=shutil.ignore_patterns("000[3-9]*", "001*", "__pycache__"))
    async with open_database(tmp_path / "node.db") as database:
        await upgrade(database, old)
        await database.write(_as_before)
        await upgrade(database, MIGRATIONS)
        asked = await database.read(lambda connection: requests.touching(connection, [_id(1), _id(4)]))
        due = await database.read(lambda connection: deadlines.of(connection, [_id(3), _id(5), _id(6)]))
    assert [(one.message_id, one.about, one.code.value, one.state, one.reason) for one in asked] == [
        (_id(2), _id(1), "G22", RequestState.AGREED, "Đồng ý"),
        (_id(2), _id(1), "H31", RequestState.OPEN, None),
        (_id(4), _id(3), "H23", RequestState.OPEN, None),
    ]
    assert {one.message_id: (one.due_at, one.stage) for one in due} == {
        _id(3): (datetime(2026, 12, 1, 16, 59, 59, tzinfo=UTC), DeadlineStage.SETTLED),
        _id(5): (datetime(2026, 12, 5, 16, 59, 59, tzinfo=UTC), DeadlineStage.AHEAD),
    }


def _id(number: int) -> str:
    return f"{number:064x}"


def _as_before(connection: Connection) -> None:
    """1 was sent to two, and recalled by 2; 3, 5 and 6 came with dates, and 4, a recall of 3; 7 finishes 3."""
    for number, business, due_date, status in (
        (1, 0, None, None),
        (2, 1, None, None),
        (3, 0, "2026/12/01", None),
        (4, 1, "2026/12/01", None),
        (5, 3, "05/12/2026", None),
        (6, 0, "2026/02/30", None),
        (7, None, None, "06"),
    ):
        connection.execute(
            text(
                "INSERT INTO messages (message_id, kind, sender, business, due_date, status, priority, lane,"
                " sealed_bytes) VALUES (:id, :kind, 'H23', :business, :due, :status, 0, 3, 1)"
            ),
            {
                "id": _id(number),
                "kind": "status" if status else "document",
                "business": business,
                "due": due_date,
                "status": status,
            },
        )
    for number, spoken_of in ((2, 1), (4, 3), (7, 3)):
        connection.execute(
            text("INSERT INTO about (message_id, about, position, sender) VALUES (:id, :about, 0, 'H23')"),
            {"id": _id(number), "about": _id(spoken_of)},
        )
    for number in (1, 2, 7):
        connection.execute(
            text(
                "INSERT INTO outbox (message_id, sequence, adapter, sender, key, fingerprint, submission_id,"
                " created_at, state, lane, attempts)"
                " VALUES (:id, :number, 'x', 'H23', :id, :id, 'x', 1000, 'accepted', 3, 1)"
            ),
            {"id": _id(number), "number": number},
        )
    for code, status, words in (("G22", "15", "Đồng ý"), ("H31", "01", "Đã đến")):
        connection.execute(
            text(
                "INSERT INTO outbox_recipients (message_id, code, position, written, delivery, since, status,"
                " status_text, status_at) VALUES (:id, :code, 0, :code, 'handed-over', 0, :status, :words, 2000)"
            ),
            {"id": _id(2), "code": code, "status": status, "words": words},
        )
    for number in (3, 4, 5, 6):
        connection.execute(
            text(
                "INSERT INTO inbox (message_id, sequence, signer, signer_fingerprint, signed_at, accepted_at,"
                " received_at) VALUES (:id, :number, 'x', :id, 0, 0, 3000)"
            ),
            {"id": _id(number), "number": number},
        )
        connection.execute(
            text(
                "INSERT INTO handovers (message_id, code, sequence, state, since, lane, attempts)"
                " VALUES (:id, 'H23', :number, 'handed-over', 0, 3, 1)"
            ),
            {"id": _id(number), "number": number},
        )


async def test_a_filled_node_of_the_release_before_goes_on_after_the_upgrade(
    tmp_path: Path, column: DatabaseColumn
) -> None:
    """What it sent keeps its recipients, chosen one by one; the agencies it knows are found by names without marks."""
    old = tmp_path / "old"
    shutil.copytree(MIGRATIONS, old, ignore=shutil.ignore_patterns("001*", "__pycache__"))
    at = datetime(2026, 11, 21, tzinfo=UTC)
    async with open_database(column.place(tmp_path / "node.db")) as database:
        assert await upgrade(database, old) == (None, "0009")
        await database.write(_release_before)
        assert (await upgrade(database, MIGRATIONS))[0] == "0009"
        sent = await database.read(lambda connection: outbox.recipients_of(connection, _id(1)))
        assert [(one.code.value, one.name, one.selected) for one in sent] == [
            ("H23", "Hải Dương", False),
            ("G22", None, False),
        ]
        assert await database.read(lambda connection: selection.selectors_of(connection, _id(1))) == ()
        assert not await database.read(lambda connection: selection.undecided(connection, [_id(1)]))
        found = await database.read(lambda connection: agency_search.search(connection, "hai duong", limit=5))
        assert [(entry.code.value, entry.name) for entry in found] == [("H23", "UBND tỉnh Hải Dương")]
        assert await database.read(lambda connection: transfers.to_come(connection, at=at)) == 0


#: A document to two that waits to be sent, and a directory in which one agency was given another name.
_RELEASE_BEFORE = """
INSERT INTO messages (message_id, kind, sender, business, priority, lane, sealed_bytes)
    VALUES (:id, 'document', 'H31', 0, 0, 3, 1);
INSERT INTO outbox (message_id, sequence, adapter, sender, key, fingerprint, submission_id, created_at, state, lane,
    attempts) VALUES (:id, 1, 'x', 'H31', 'k', :id, 'x', 1000, 'waiting', 3, 0);
INSERT INTO outbox_recipients (message_id, code, position, written, name, delivery, since)
    VALUES (:id, 'H23', 0, 'H23', 'Hải Dương', 'waiting', 0), (:id, 'G22', 1, 'G22', NULL, 'waiting', 0);
INSERT INTO directory_agencies (code, since, until, name, connection, status)
    VALUES ('H23', 1, 4, 'Tỉnh Hải Dương cũ', 'haiduong', 'active'),
    ('H23', 4, NULL, 'UBND tỉnh Hải Dương', 'haiduong', 'active'),
    ('H31', 1, NULL, 'UBND tỉnh Hưng Yên', 'hungyen', 'active')
"""


def _release_before(connection: Connection) -> None:
    for statement in _RELEASE_BEFORE.replace(":id", f"'{_id(1)}'").split(";"):
        connection.execute(text(statement))
