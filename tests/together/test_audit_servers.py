"""`congvan audit` of databases on a PostgreSQL server, given by their addresses without a folder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import Connection, MetaData, Table, insert, select
from typer.testing import CliRunner

from certs.authority import Authority
from certs.keys import write_certificates
from congvan.cli import app
from hub.store.metadata import metadata as hub_metadata
from hub.store.schema import MIGRATIONS as HUB_MIGRATIONS
from node.store.metadata import metadata as node_metadata
from node.store.migrate import MIGRATIONS as NODE_MIGRATIONS
from runtime.database import open_database
from runtime.migrations import upgrade
from runtime.postgres_address import PostgresAddress
from schemas.auditing import FindingCode
from schemas.errors import CongvanError
from tests.services.postgres import PostgresServer
from tests.together.conftest import Exchanged

SIDES = ("hub", "g22", "h23", "h31")


@pytest.fixture(scope="module")
def databases(
    postgres: PostgresServer, exchanged: Exchanged, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """What was exchanged, every side's rows in a database of the server: their names by the side's."""
    folder = exchanged.ground.copy(tmp_path_factory.mktemp("served") / "site")
    names = {side: postgres.create_database() for side in SIDES}
    asyncio.run(_copy(folder, postgres, names))
    yield names
    for name in names.values():
        postgres.drop_database(name)


async def _copy(folder: Path, postgres: PostgresServer, names: dict[str, str]) -> None:
    await _copy_side(folder / "hub/data/hub.db", postgres.address(names["hub"]), HUB_MIGRATIONS, hub_metadata)
    for node in SIDES[1:]:
        file = folder / node / "data/node.db"
        await _copy_side(file, postgres.address(names[node]), NODE_MIGRATIONS, node_metadata)


async def _copy_side(file: Path, to: PostgresAddress, migrations: Path, tables: MetaData) -> None:
    def rows(transaction: Connection) -> list[tuple[Table, list[dict[str, Any]]]]:
        return [
            (table, [row._asdict() for row in transaction.execute(select(table))]) for table in tables.sorted_tables
        ]

    async with open_database(file) as source, open_database(to) as target:
        await upgrade(target, migrations)
        held = await source.read(rows)

        def put(transaction: Connection) -> None:
            for table, those in held:
                if those:
                    transaction.execute(insert(table), those)

        await target.write(put)


class Auditor:
    """Runs the command as somebody who has addresses, the password in PGPASSFILE's file, and the hub's root."""

    def __init__(self, postgres: PostgresServer, databases: dict[str, str], folder: Path) -> None:
        self._postgres = postgres
        self._databases = databases
        self.folder = folder
        self.root = folder / "hub/authority/root.pem"
        self.password_file = folder / "password"
        postgres.settings("postgres", self.password_file)

    def url(self, side: str) -> str:
        return self._postgres.url + self._databases[side]

    def run(self, *arguments: str | Path) -> Result:
        return CliRunner().invoke(app, ["audit", *map(str, arguments)])

    def audit(self, *arguments: str | Path) -> tuple[int, dict[str, Any]]:
        """The exit status, and what was printed as JSON; the password comes by --password-file."""
        result = self.run(*arguments, "--password-file", self.password_file, "--json")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, json.loads(result.stdout)

    def refusal(self, *arguments: str | Path) -> CongvanError:
        result = self.run(*arguments)
        assert isinstance(result.exception, CongvanError), result.output
        assert result.exit_code == 1
        return result.exception


@pytest.fixture
def auditor(
    postgres: PostgresServer, databases: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Auditor:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", str(folder / "none"))
    return Auditor(postgres, databases, folder)


def test_addresses_are_audited_as_the_folders_are(auditor: Auditor) -> None:
    """All sides by their addresses and the hub's root say what the folders say, and how many files were not read."""
    status, by_folder = auditor.audit(*(auditor.folder / side for side in SIDES), "--deep")
    assert status == 0
    status, by_url = auditor.audit(*map(auditor.url, SIDES), "--authority", auditor.root, "--deep")
    assert status == 0
    for key in ("clean", "hub", "nodes", "compared", "findings", "in_flight", "not_checked"):
        assert by_url[key] == by_folder[key], key
    assert by_folder["attachments_not_checked"] == {}
    # The circular's long attachment, which all have, and that of the document that still waits.
    assert by_url["attachments_not_checked"] == {
        "the hub hub.example.test": 2,
        "the node g22": 2,
        "the node h23": 1,
        "the node h31": 1,
    }


@pytest.mark.parametrize(("beside", "side"), [("hub", "h31"), ("g22", "hub")])
def test_an_address_is_judged_by_the_authority_of_the_folder_beside_it(
    auditor: Auditor, beside: str, side: str
) -> None:
    """A hub's folder, or a node's, says under which authority a database without a folder is judged."""
    status, found = auditor.audit(auditor.url(side), auditor.folder / beside)
    assert (status, found["clean"], len(found["nodes"])) == (0, True, 1)


def test_what_is_missing_on_the_server_is_found(
    auditor: Auditor, postgres: PostgresServer, databases: dict[str, str], exchanged: Exchanged
) -> None:
    """A receipt that was deleted there is missing to its own side and to the hub, and the exit status is 1."""
    copy = postgres.create_database(template=databases["h31"])
    gone = f"message_id = '{exchanged.id_of('circular')}' AND event = 'ContentConsignment'"
    postgres.sql(f"DELETE FROM receipts WHERE {gone}", copy)
    status, found = auditor.audit(auditor.folder / "hub", postgres.url + copy)
    postgres.drop_database(copy)
    assert status == 1
    assert FindingCode.RECEIPT_MISSING in {each["code"] for each in found["nodes"]["h31"]["findings"]}
    assert FindingCode.RECEIPT_LOST in {each["code"] for each in found["findings"]}


def test_another_authority_proves_nothing(auditor: Auditor, tmp_path: Path) -> None:
    """Under an authority that is not the hub's no version of the directory holds, whatever folder and rows say."""
    other = Authority.create(tmp_path / "other", "Other", now=datetime.now(UTC)).root
    write_certificates(tmp_path / "other.pem", (other,))
    status, found = auditor.audit(auditor.folder / "hub", auditor.url("h31"), "--authority", tmp_path / "other.pem")
    assert status == 1
    for side in (found["hub"], found["nodes"]["h31"]):
        assert FindingCode.DIRECTORY_INVALID in {each["code"] for each in side["findings"]}


def test_the_password_comes_from_the_file_that_psql_would_ask(
    auditor: Auditor, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With PGPASSFILE a user who may only read audits without an option; without it the command says what to do."""
    given = (auditor.url("h31").replace("//congvan@", "//reader@"), "--authority", auditor.root)
    postgres.sql("CREATE ROLE reader LOGIN PASSWORD 'sesame' IN ROLE pg_read_all_data")
    try:
        assert auditor.refusal(*given).code == "database-password"
        passwords = auditor.folder / "pgpass"
        passwords.touch(mode=0o600)
        passwords.write_text("127.0.0.1:*:*:reader:sesame\n")
        monkeypatch.setenv("PGPASSFILE", str(passwords))
        result = auditor.run(*given)
    finally:
        postgres.sql("DROP ROLE reader")
    assert result.exit_code == 0, result.output
    assert "Not checked: 1 attachments of the node h31" in " ".join(result.stdout.split())


def test_a_password_in_an_address_is_refused_and_not_repeated(auditor: Auditor) -> None:
    """Who writes it there is told where it goes; it appears in no word of the answer."""
    refusal = auditor.refusal("postgresql://congvan:hunter2@127.0.0.1/hub", "--authority", auditor.root)
    assert refusal.code == "audit-address"
    assert "--password-file" in str(refusal)
    assert "hunter2" not in str(refusal)


def test_without_an_authority_nothing_is_judged(auditor: Auditor) -> None:
    """An address alone proves nothing: the authority is asked for, before the server is."""
    assert auditor.refusal("postgresql://congvan@127.0.0.1:1/hub").code == "audit-authority"


def test_databases_of_no_side_and_of_another_schema_are_refused(
    auditor: Auditor, postgres: PostgresServer, databases: dict[str, str]
) -> None:
    """Neither side's tables, tables nobody used yet, or another revision: each is said in its own words."""
    name = postgres.create_database(template=databases["h31"])
    given = (postgres.url + name, "--authority", auditor.root, "--password-file", auditor.password_file)
    postgres.sql("DELETE FROM record_owner", name)
    assert auditor.refusal(*given).code == "audit-source"
    postgres.sql("UPDATE alembic_version SET version_num = '0001'", name)
    assert auditor.refusal(*given).code == "database-outdated"
    postgres.sql("UPDATE alembic_version SET version_num = '9999'", name)
    assert auditor.refusal(*given).code == "database-newer"
    postgres.sql("DROP TABLE inbox", name)
    assert auditor.refusal(*given).code == "audit-source"
    postgres.drop_database(name)


def test_one_node_by_folder_and_by_address_is_named_twice(auditor: Auditor) -> None:
    """The same node cannot be both sides of a comparison."""
    given = (auditor.folder / "h31", auditor.url("h31"), "--password-file", auditor.password_file)
    assert auditor.refusal(*given).code == "audit-source-twice"
