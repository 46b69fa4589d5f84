"""The database on a server: what is refused, what a server that goes away does, and a commit without an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime import database_postgres
from runtime.database import open_database
from runtime.database_postgres import PostgresDatabase
from runtime.postgres_address import DatabaseSettings, PostgresAddress
from schemas.errors import Rejected, Unavailable
from tests.runtime.test_database import add, count, metadata
from tests.services.columns import PostgresColumn
from tests.services.postgres import PostgresServer


@pytest.fixture
def place(postgres_column: PostgresColumn, tmp_path: Path) -> Iterator[PostgresAddress]:
    place = postgres_column.place(tmp_path / "notes.db")
    assert isinstance(place, PostgresAddress)
    yield place
    postgres_column.forget()


async def refusal(place: PostgresAddress) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        async with open_database(place):
            pass
    return caught.value


def one_more(connection: Connection) -> int:
    number = count(connection) + 1
    connection.execute(add(f"note {number}"))
    return number


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"password": "wrong"}, "database-password", "password_file"),
        ({"user": "nobody"}, "database-password", "password_file"),
        ({"database": "nowhere"}, "database-missing", "createdb"),
        ({"port": 1}, "database-unreachable", "[database] url"),
    ],
)
async def test_what_cannot_be_opened_names_setting_and_mend(
    change: dict[str, Any], code: str, named: str, place: PostgresAddress
) -> None:
    """A wrong password, user, name or port is told as such, with the setting to correct, and without the password."""
    error = await refusal(replace(place, **change))
    assert error.code == code
    assert named in str(error)
    assert "wrong" not in str(error)


@pytest.mark.parametrize("setting", ["synchronous_commit", "fsync", "full_page_writes"])
async def test_a_server_that_answers_before_it_has_synced_is_refused(
    setting: str, place: PostgresAddress, postgres: PostgresServer
) -> None:
    """An acknowledgement must survive a power cut: a server that would not see to it is not opened."""
    postgres.sql(f"ALTER SYSTEM SET {setting} = off")
    postgres.sql("SELECT pg_reload_conf()")
    try:
        await asyncio.sleep(0.2)
        error = await refusal(place)
        assert (error.code, setting in error.message) == ("database-not-durable", True)
    finally:
        postgres.sql(f"ALTER SYSTEM RESET {setting}")
        postgres.sql("SELECT pg_reload_conf()")
        await asyncio.sleep(0.2)


async def test_a_server_that_is_away_is_told_and_found_again(place: PostgresAddress, postgres: PostgresServer) -> None:
    """While the server is down every question and write is for later; once it is up they work, on a new connection."""
    async with open_database(place) as database:
        await database.write(metadata.create_all)
        await database.write(one_more)
        postgres.kill()
        try:
            outcomes = await asyncio.gather(
                database.read(count), *(database.write(one_more) for _ in range(5)), return_exceptions=True
            )
        finally:
            postgres.start()
        assert {getattr(outcome, "code", outcome) for outcome in outcomes} == {"database-unreachable"}
        assert await database.write(one_more) == 2
        assert await database.read(count) == 2


async def test_sessions_that_the_server_ended_are_not_noticed(place: PostgresAddress, postgres: PostgresServer) -> None:
    """After a restart between two questions nobody is told anything: the next one connects anew."""
    async with open_database(place) as database:
        await database.write(metadata.create_all)
        await asyncio.gather(*(database.read(count) for _ in range(8)))
        postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'congvan'")
        assert await database.write(one_more) == 1
        assert await asyncio.gather(*(database.read(count) for _ in range(8))) == [1] * 8


@pytest.mark.parametrize("is_committed", [True, False], ids=["committed", "rolled-back"])
async def test_a_commit_whose_answer_was_lost_is_settled(
    is_committed: bool, place: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is asked what became of the transaction: what was committed is not done again, what was not, is."""
    async with open_database(place) as database:
        await database.write(metadata.create_all)
        commit, lost = AsyncConnection.commit, 0

        async def commit_and_lose(connection: AsyncConnection) -> None:
            nonlocal lost
            if lost:
                return await commit(connection)
            lost += 1
            if is_committed:
                await commit(connection)
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            driver.terminate()
            await connection.execute(text("SELECT 1"))
            return None

        monkeypatch.setattr(AsyncConnection, "commit", commit_and_lose)
        assert await database.write(one_more) == 1
        assert lost == 1
        assert await database.read(count) == 1


async def test_nothing_counts_as_written_that_its_standby_has_not(
    place: PostgresAddress, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a synchronous standby is away no write succeeds, however long it waits, and nobody reads it; then it is."""
    async with asyncio.timeout(60), open_database(place) as database, open_database(place) as reader:
        await database.write(metadata.create_all)
        monkeypatch.setattr(database_postgres, "_COMMIT_SECONDS", 1.5)
        monkeypatch.setattr(database_postgres, "_OUTCOME_SECONDS", 3.0)
        written = 0

        async def write_on() -> None:
            nonlocal written
            while True:
                # The server's processes hear of the standby one after another.
                written = await database.write(one_more)

        with _standby_awaited(postgres):
            with pytest.raises(Unavailable) as caught:
                await write_on()
            assert caught.value.code == "database-outcome-unknown"
            assert await reader.read(count) == written
        while await reader.read(count) == written:  # noqa: ASYNC110 - the server knows
            await asyncio.sleep(0.05)


@contextmanager
def _standby_awaited(postgres: PostgresServer) -> Iterator[None]:
    """Inside, the server waits for a standby that does not exist."""
    try:
        postgres.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        postgres.sql("SELECT pg_reload_conf()")
        yield
    finally:
        postgres.sql("ALTER SYSTEM RESET synchronous_standby_names")
        postgres.sql("SELECT pg_reload_conf()")


async def test_a_change_of_the_schema_stops_no_traffic(place: PostgresAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody reads for hours, as a dump does, a change of the schema waits and writes go on; it comes after."""
    monkeypatch.setattr(database_postgres, "_TABLE_SECONDS", 1)
    monkeypatch.setattr(database_postgres, "_TABLE_AGAIN", 1.0)
    change = text("ALTER TABLE notes ADD COLUMN more text")
    async with asyncio.timeout(60), open_database(place) as database, open_database(place) as dump:
        await database.write(metadata.create_all)
        assert isinstance(dump, PostgresDatabase)
        async with dump._reader.connect() as reading:
            await reading.run_sync(count)
            changing = asyncio.create_task(database.exclusively(lambda connection: connection.execute(change).rowcount))
            for number in range(1, 4):
                await asyncio.sleep(0.5)
                assert await database.write(one_more) == number
            assert not changing.done()
        await changing
        assert await database.read(lambda connection: connection.scalar(text("SELECT count(more) FROM notes"))) == 0


@pytest.mark.parametrize("first_to_wait", ["change", "question"])
async def test_a_change_of_the_schema_that_meets_a_question_crosswise_fails_neither(
    place: PostgresAddress, monkeypatch: pytest.MonkeyPatch, first_to_wait: str
) -> None:
    """Each has one table and wants the other's: the server ends one of them, and both have what they wanted."""
    monkeypatch.setattr(database_postgres, "_TABLE_AGAIN", 0.1)
    pauses = {"change": 0.5, "question": 0.5} | {first_to_wait: 0.2}

    def change(connection: Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE one ADD COLUMN more text")
        connection.exec_driver_sql(f"SELECT pg_sleep({pauses['change']})")
        connection.exec_driver_sql("ALTER TABLE other ADD COLUMN more text")

    def question(connection: Connection) -> int | None:
        connection.exec_driver_sql("SELECT count(*) FROM other")
        connection.exec_driver_sql(f"SELECT pg_sleep({pauses['question']})")
        return connection.exec_driver_sql("SELECT count(*) FROM one").scalar()

    async with asyncio.timeout(60), open_database(place) as database:
        for table in ("one", "other"):
            await database.write(lambda connection, table=table: _make(connection, table))
        _, answer = await asyncio.gather(database.exclusively(change), database.read(question))
        assert answer == 0
        assert await database.read(lambda c: c.exec_driver_sql("SELECT count(more) FROM other").scalar()) == 0


def _make(connection: Connection, table: str) -> None:
    connection.exec_driver_sql(f"CREATE TABLE {table} (number int)")


async def test_a_broken_constraint_is_the_callers(place: PostgresAddress) -> None:
    """A key that is there already is told to the one who wrote it, and its neighbours are committed."""
    async with open_database(place) as database:
        await database.write(metadata.create_all)
        same: Callable[[Connection], object] = lambda connection: connection.execute(add("same")).rowcount  # noqa: E731
        outcomes = await asyncio.gather(*(database.write(same) for _ in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes].count(IntegrityError) == 2
        assert await database.read(count) == 1


async def test_a_cancelled_question_leaves_its_connection_whole(place: PostgresAddress) -> None:
    """A caller that goes away in the middle of an answer takes no connection along."""
    async with open_database(replace(place, readers=1)) as database:
        asking = asyncio.create_task(database.read(lambda c: c.exec_driver_sql("SELECT pg_sleep(0.2)").scalar()))
        await asyncio.sleep(0.05)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await database.read(lambda c: c.exec_driver_sql("SELECT 7").scalar()) == 7


@pytest.mark.parametrize(
    "url",
    [
        "postgres://a@b/c",
        "postgresql://a:geheim@b/c",
        "postgresql://b/c",
        "postgresql://a@b",
        "postgresql://a@b/c?ssl=off",
        "postgresql://a@b:x/c",
        "sqlite:///x",
        "b/c",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """What cannot be meant is refused when settings are read, and a password in it is not repeated."""
    with pytest.raises(ValueError, match=r"write postgresql://|password_file") as caught:
        DatabaseSettings(url=url)
    assert "geheim" not in str(caught.value)


def test_an_address_is_read(tmp_path: Path) -> None:
    """Host, port, user and name; a Unix socket's folder; the password from its file, in no repr."""
    secret = tmp_path / "password"
    secret.write_text("geheim\n")
    secret.chmod(0o600)
    settings = DatabaseSettings(url="postgresql://hub@db.example.test:6432/hub", password_file=Path("password"))
    address = settings.place(tmp_path, tmp_path / "hub.db")
    assert isinstance(address, PostgresAddress)
    assert (address.host, address.port, address.user, address.database, address.password) == (
        "db.example.test",
        6432,
        "hub",
        "hub",
        "geheim",
    )
    assert "geheim" not in repr(address)
    assert address.tls_context() is not None
    local = PostgresAddress.parse("postgresql://hub@%2Fvar%2Frun%2Fpostgresql/hub")
    assert (local.host, local.port, local.tls_context()) == ("/var/run/postgresql", 5432, None)
    assert DatabaseSettings().place(tmp_path, tmp_path / "hub.db") == tmp_path / "hub.db"


def test_a_password_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """A password file has mode 0600, as the files of passphrases have."""
    secret = tmp_path / "password"
    secret.write_text("geheim\n")
    secret.chmod(0o644)
    settings = DatabaseSettings(url="postgresql://hub@db/hub", password_file=secret)
    with pytest.raises(Rejected) as caught:
        settings.place(tmp_path, tmp_path / "hub.db")
    assert caught.value.code == "password-permissions"
