"""The database: grouped commits, snapshots, and errors that say what to do."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text, func, insert, select

from runtime.database import Database, open_database
from runtime.grouped_writes import Work
from schemas.errors import Unavailable
from tests.services.columns import ON_SQLITE, DatabaseColumn

metadata = MetaData()
notes = Table("notes", metadata, Column("id", Integer, primary_key=True), Column("text", Text, unique=True))


@pytest.fixture
async def database(tmp_path: Path, column: DatabaseColumn) -> AsyncIterator[Database]:
    async with open_database(column.place(tmp_path / "data" / "notes.db")) as database:
        await database.write(metadata.create_all)
        yield database


def add(text: str) -> sqlalchemy.Insert:
    return insert(notes).values(text=text)


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(notes)).scalar_one()


async def test_a_write_is_seen_by_the_next_read(database: Database) -> None:
    """When write returns, every later read sees what it wrote."""
    await database.write(lambda connection: connection.execute(add("one")).rowcount)
    assert await database.read(count) == 1


async def test_glances_answer_each_asker_alone(database: Database) -> None:
    """Short questions asked at once get each its own answer or its own error, from after all that was written."""

    def failing(_connection: Connection) -> int:
        raise Unavailable("no-answer", "There is none.")

    await database.write(lambda connection: connection.execute(add("one")).rowcount)
    found = await asyncio.gather(
        database.glance(count),
        database.glance(failing),
        database.glance(lambda connection: connection.execute(sqlalchemy.text("SELECT nothing")).scalar_one()),
        database.glance(lambda connection: 10 + count(connection)),
        return_exceptions=True,
    )
    assert (found[0], found[3]) == (1, 11)
    assert [getattr(each, "code", None) for each in found[1:3]] == ["no-answer", "database-failed"]


@ON_SQLITE
async def test_a_glance_takes_no_hop_and_sees_what_was_written_before(database: Database) -> None:
    """A short question to a file is answered in the asker's own thread, each time in a snapshot of that moment."""
    seen: list[tuple[int, int]] = []
    for number in range(3):
        await database.write(lambda connection, number=number: connection.execute(add(f"note {number}")).rowcount)
        seen.append(await database.glance(lambda connection: (threading.get_ident(), count(connection))))
    assert seen == [(threading.get_ident(), number) for number in (1, 2, 3)]


async def test_a_glance_at_a_file_that_is_held_against_readers_waits_in_a_thread(tmp_path: Path) -> None:
    """While another process lets nobody read, the event loop goes on; the question is answered once it may be."""
    path = tmp_path / "notes.db"
    async with open_database(path) as other:
        await other.write(metadata.create_all)
    holding = sqlite3.connect(path, isolation_level=None)
    holding.execute("PRAGMA locking_mode=EXCLUSIVE").close()
    holding.execute("INSERT INTO notes (text) VALUES ('held')").close()
    async with open_database(path) as database:
        glance = asyncio.create_task(database.glance(count))
        await asyncio.sleep(0)
        assert not glance.done()
        holding.close()
        assert await glance == 1


async def test_waiting_writes_share_a_commit(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes that wait together are committed together, not one by one."""
    groups: list[int] = []
    commit = database._transaction

    async def counted(works: Sequence[Work], durable: bool) -> list[Any]:
        groups.append(len(works))
        return await commit(works, durable)

    monkeypatch.setattr(database, "_transaction", counted)
    await asyncio.gather(*(database.write(lambda c, n=n: c.execute(add(f"note {n}")).rowcount) for n in range(40)))
    assert sum(groups) == 40
    assert len(groups) <= 3


async def test_an_urgent_write_goes_before_those_that_wait(database: Database) -> None:
    """It commits before what waited longer; then the others have their turn, however many urgent ones come."""
    order: list[str] = []
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    async def wrote(name: str, *, urgent: bool = False) -> None:
        await database.write(lambda connection: connection.execute(add(name)).rowcount, urgent=urgent)
        order.append(name)
        if name == "urgent":
            await wrote("urgent too", urgent=True)

    def slow(connection: Connection) -> None:
        loop.call_soon_threadsafe(begun.set)
        if connection.dialect.name == "sqlite":
            go_on.wait(30)

    under_way = asyncio.create_task(database.write(slow))
    await begun.wait()
    waiting = [asyncio.create_task(wrote(name, urgent=name == "urgent")) for name in ("one", "two", "urgent")]
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(under_way, *waiting)
    assert order == ["urgent", "one", "two", "urgent too"]


async def test_one_failing_write_does_not_take_its_neighbours_along(database: Database) -> None:
    """A write that raises is rolled back alone; those that shared its group are committed."""

    def failing(connection: Connection) -> None:
        connection.execute(add("half"))
        raise ValueError("of its own")

    good = [database.write(lambda c, n=n: c.execute(add(f"good {n}")).rowcount) for n in range(5)]
    outcomes = await asyncio.gather(*good, database.write(failing), return_exceptions=True)
    assert isinstance(outcomes[-1], ValueError)
    assert await database.read(lambda c: c.execute(select(notes.c.text).order_by(notes.c.text)).scalars().all()) == [
        f"good {n}" for n in range(5)
    ]


async def test_a_cancelled_caller_does_not_stop_its_write(database: Database) -> None:
    """A write that was handed in happens, also when nobody waits for it any more."""
    waiting = asyncio.create_task(database.write(lambda c: c.execute(add("kept")).rowcount))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await database.write(count)
    assert await database.read(count) == 1


async def test_leaving_waits_for_writes_under_way(tmp_path: Path, column: DatabaseColumn) -> None:
    """Closing the database ends no write half-way: what was handed in is committed first."""
    place = column.place(tmp_path / "notes.db")
    async with open_database(place) as database:
        await database.write(metadata.create_all)
        writes = [
            asyncio.ensure_future(database.write(lambda c, n=n: c.execute(add(f"last {n}")).rowcount))
            for n in range(100)
        ]
        await asyncio.sleep(0)
    assert all(write.done() for write in writes)
    async with open_database(place) as database:
        assert await database.read(count) == 100


@ON_SQLITE
async def test_a_commit_is_synced(database: Database) -> None:
    """SQLite runs with WAL and synchronous FULL: a commit that was answered survives a power cut."""

    def pragmas(connection: Connection) -> tuple[object, object]:
        return (
            connection.exec_driver_sql("PRAGMA journal_mode").scalar_one(),
            connection.exec_driver_sql("PRAGMA synchronous").scalar_one(),
        )

    assert await database.write(pragmas) == ("wal", 2)


async def test_a_commit_is_awaited_at_the_disk_if_one_of_its_group_needs_that(database: Database) -> None:
    """What may be lost waits for no sync; beside a write that may not, it is synced with it, and so is the next."""

    def is_awaited(connection: Connection) -> bool:
        if connection.dialect.name == "sqlite":
            return bool(connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2)
        return bool(connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on")

    def failing(_connection: Connection) -> None:
        raise ValueError("of its own")

    assert not await database.write(is_awaited, durable=False)
    with pytest.raises(ValueError, match="of its own"):
        await database.write(failing, durable=False)
    assert await database.write(is_awaited)
    beside = asyncio.gather(database.write(is_awaited, durable=False), database.write(is_awaited))
    assert await beside == [True, True]
    assert not await database.write(is_awaited, durable=False)


@ON_SQLITE
async def test_the_database_is_private(database: Database, tmp_path: Path) -> None:
    """Nobody but the owner can read the database or its write-ahead log."""
    for file in (tmp_path / "data").iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


@ON_SQLITE
async def test_a_full_disk_is_named(database: Database) -> None:
    """When the disk takes no more, the error is `storage-full`, of the family to try again."""

    def overflow(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        connection.execute(add("x" * 1_000_000))

    with pytest.raises(Unavailable) as caught:
        await database.write(overflow)
    assert caught.value.code == "storage-full"


async def test_two_processes_count_on_without_a_gap(tmp_path: Path, column: DatabaseColumn) -> None:
    """Writes that read what they change collide across processes and are run again: none is lost, none done twice."""
    place = column.place(tmp_path / "notes.db")

    def next_note(connection: Connection) -> int:
        number = count(connection) + 1
        connection.execute(add(f"note {number}"))
        return number

    async with open_database(place) as one, open_database(place) as other:
        await one.write(metadata.create_all)
        numbers = await asyncio.gather(*((one, other)[n % 2].write(next_note) for n in range(60)))
    assert sorted(numbers) == list(range(1, 61))


async def test_a_question_sees_one_moment(tmp_path: Path, column: DatabaseColumn) -> None:
    """What is committed while a question is asked shows in none of its answers."""
    place = column.place(tmp_path / "notes.db")
    async with open_database(place) as one, open_database(place) as other:
        await one.write(metadata.create_all)
        await one.write(lambda c: c.execute(add("first")).rowcount)
        loop, asked, written = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
        counts: list[int] = []

        def look_twice(connection: Connection) -> None:
            counts.append(count(connection))
            loop.call_soon_threadsafe(asked.set)
            if column.name == "sqlite":
                assert written.wait(30)
            else:
                connection.exec_driver_sql("SELECT pg_sleep(0.3)")
            counts.append(count(connection))

        looking = asyncio.create_task(one.read(look_twice))
        await asked.wait()
        await other.write(lambda c: c.execute(add("second")).rowcount)
        written.set()
        await looking
        assert counts == [1, 1]
        assert await one.read(count) == 2
