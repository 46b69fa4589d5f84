"""`congvan hub db copy`: a hub goes from its SQLite file to PostgreSQL with everything, or with nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from sqlalchemy import Connection, select
from typer.testing import CliRunner, Result

from congvan.cli import app
from hub.app import already_running
from hub.cli.audit import audit_of
from hub.foundation import open_foundation
from hub.settings import HubFolder
from hub.store.metadata import metadata
from hub.usecases.audit import HubAudit
from runtime.database import DatabasePlace, open_database
from runtime.locks import exclusive
from runtime.postgres_address import DatabaseSettings
from schemas.errors import CongvanError
from tests.services.postgres import PostgresServer
from tests.together.by_hand import asked, by_hand
from tests.together.conftest import Exchanged
from tests.together.documents import document
from tests.together.site import opened

Copy: TypeAlias = Callable[..., Result]

#: Rows of kinds that the exchange left none of: truth values, long numbers, JSON, a text where bytes belong.
_FURTHER = """
INSERT INTO work (work, kind, subject, code, due_at, touched_at, held)
    VALUES (41, 'push', 'h23', '', 1795000000000001, 5, 1);
INSERT INTO recipient_groups VALUES ('tinh', 'Các tỉnh', 1), ('cu', 'Nhóm cũ', 2);
INSERT INTO group_members VALUES ('tinh', 'H23.*'), ('tinh', 'H31');
INSERT INTO space_reservations VALUES ('held', 107374182400, 9);
INSERT INTO alerts (alert, alert_id, event, created_at, document, attempts, due_at)
    VALUES (17, 'a', 'connection.silent', 1, '{"một": 1}', 3, 7);
INSERT INTO audit_log (at, actor, action, subject, detail)
    VALUES (1, 'tay', 'thử', 'x', '{"có": [true, null]}')
"""


@pytest.fixture
def server(postgres: PostgresServer, folder: Path) -> Iterator[DatabaseSettings]:
    """An empty database, as settings name it."""
    name = postgres.create_database()
    yield postgres.settings(name, folder / "password")
    postgres.drop_database(name)


@pytest.fixture
def copy(folder: Path, server: DatabaseSettings) -> Copy:
    """Runs `congvan hub db copy` to the empty database."""

    def run(*options: str) -> Result:
        arguments = ["hub", "db", "copy", "--dir", str(folder / "hub"), "--to", server.url]
        return CliRunner().invoke(app, [*arguments, "--password-file", str(server.password_file), *options])

    return run


def _file(folder: Path) -> Path:
    return folder / "hub" / "data" / "hub.db"


def _code(result: Result) -> str:
    assert isinstance(result.exception, CongvanError), result.output
    return result.exception.code


def _everything(place: DatabasePlace) -> dict[str, list[str]]:
    """Every row of every table, by what the store reads."""

    def rows(connection: Connection) -> dict[str, list[str]]:
        return {
            table.name: sorted(repr(tuple(row)) for row in connection.execute(select(table)))
            for table in metadata.sorted_tables
        }

    async def ask() -> dict[str, list[str]]:
        async with open_database(place) as database:
            return await database.read(rows)

    return asyncio.run(ask())


def _tables(server: DatabaseSettings, postgres: PostgresServer) -> str:
    name = server.url.rpartition("/")[2]
    return postgres.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name).strip()


async def _goes_on(folder: Path, exchanged: Exchanged) -> tuple[int, HubAudit]:
    """What waits is delivered, something new as well; gives the number of the new message, and an audit."""
    async with opened(folder, exchanged.at) as site:
        sent = await site.node("g22").submit(document("G22", "H23", "H31", number=99), key="after-the-copy")
        await site.run_dry()

        def number(connection: Connection) -> int:
            found = metadata.tables["messages"].c
            return connection.execute(select(found.message).where(found.message_id == sent)).scalar_one()

        given = await site.hub.foundation.database.read(number)
    async with open_foundation(HubFolder(folder / "hub")) as hub:
        return given, await audit_of(hub, deep=True)


def test_a_copied_hub_goes_on_where_it_was(
    folder: Path, exchanged: Exchanged, copy: Copy, server: DatabaseSettings
) -> None:
    """Every row is there as it was; with the printed lines in its settings the hub accepts, delivers, audits clean."""
    by_hand(_file(folder), *_FURTHER.split(";"))
    highest = asked(_file(folder), "SELECT max(message) FROM messages")
    said = copy()
    assert said.exit_code == 0, said.output
    before = _everything(_file(folder))
    after = _everything(server.place(folder, _file(folder)))
    assert {name: len(rows) for name, rows in before.items()} == {name: len(rows) for name, rows in after.items()}
    before["alerts"] = [row.replace("'{\"một\": 1}'", repr('{"một": 1}'.encode())) for row in before["alerts"]]
    assert after == before
    settings = HubFolder(folder / "hub").settings_file
    lines = said.output[said.output.index("[database]\n") :]
    settings.write_text(settings.read_text().replace("[database]\n", lines))
    # What stays behind is of no use any longer.
    _file(folder).unlink()
    by_the_server, audit = asyncio.run(_goes_on(folder, exchanged))
    assert by_the_server > int(str(highest))
    assert [finding.sentence for finding in audit.findings] == []
    assert audit.is_clean
    assert audit.balance.overall.pending == 0
    assert _code(copy()) == "database-on-server"


def test_nothing_is_copied_if_one_row_does_not_fit(
    folder: Path, copy: Copy, server: DatabaseSettings, postgres: PostgresServer
) -> None:
    """A value that PostgreSQL cannot hold is named by its table, and the database is as empty as before."""
    by_hand(_file(folder), "UPDATE hub_state SET name = 'hub' || char(0) || '.example.test'")
    refused = copy()
    assert (_code(refused), "hub_state" in str(refused.exception)) == ("row-does-not-fit", True)
    assert _tables(server, postgres) == "0"
    by_hand(_file(folder), "UPDATE hub_state SET name = 'hub.example.test'")
    told = json.loads(copy("--json").output)
    assert (told["balances"], told["database"]["url"]) == (True, server.url)
    assert _code(copy()) == "database-not-empty"


def test_a_hub_that_serves_is_not_copied(
    folder: Path, copy: Copy, server: DatabaseSettings, postgres: PostgresServer
) -> None:
    """What it accepted meanwhile would be missing: it has to be stopped."""
    place = HubFolder(folder / "hub")
    with exclusive(place.serving_lock, already_running(place)):
        assert _code(copy()) == "hub-running"
    assert _tables(server, postgres) == "0"
