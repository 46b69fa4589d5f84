"""Duties of one process among several: one leads, another follows when it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from runtime import database_postgres
from runtime.database import open_database
from runtime.leadership import led
from runtime.postgres_address import PostgresAddress
from tests.services.columns import PostgresColumn
from tests.services.postgres import PostgresServer


@pytest.fixture
def place(postgres_column: PostgresColumn, tmp_path: Path) -> Iterator[PostgresAddress]:
    place = postgres_column.place(tmp_path / "duties.db")
    assert isinstance(place, PostgresAddress)
    yield place
    postgres_column.forget()


class Candidate:
    """A process that would lead; `leads` is set while it does. It is fit for that while `is_fit` says so."""

    def __init__(self, *, is_fit: bool = True) -> None:
        self.is_fit = is_fit
        self.leads, self.stop, self.fails = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def duty(self, over: asyncio.Event) -> None:
        self.leads.set()
        await over.wait()
        self.leads.clear()

    async def run(self, place: PostgresAddress) -> None:
        async with open_database(place) as database:
            await led(database, "sweeping", self.duty, is_fit=self.fitness, interval=0.05)(self.stop)

    async def fitness(self) -> bool:
        return self.is_fit


async def test_one_leads_and_the_other_follows(place: PostgresAddress) -> None:
    """Of two processes one leads; when it stops, the other does."""
    first, second = Candidate(), Candidate()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(first.run(place))
        await first.leads.wait()
        group.create_task(second.run(place))
        await asyncio.sleep(0.3)
        assert not second.leads.is_set()
        first.stop.set()
        await second.leads.wait()
        assert not first.leads.is_set()
        second.stop.set()


async def test_who_is_not_fit_does_not_lead(place: PostgresAddress) -> None:
    """A process that is not fit leaves the duty to another, before it has it as well as while it has it."""
    first, second = Candidate(is_fit=False), Candidate()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(first.run(place))
        await asyncio.sleep(0.3)
        group.create_task(second.run(place))
        await second.leads.wait()
        assert not first.leads.is_set()
        first.is_fit, second.is_fit = True, False
        await first.leads.wait()
        assert not second.leads.is_set()
        first.stop.set()
        second.stop.set()


async def test_a_lock_that_the_server_lost_ends_the_duty(place: PostgresAddress, postgres: PostgresServer) -> None:
    """When the connection that holds the lock is ended, the duty is over, and is taken up again."""
    candidate = Candidate()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(candidate.run(place))
        await candidate.leads.wait()
        postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'", place.database)
        while candidate.leads.is_set():  # noqa: ASYNC110 - an event tells of what begins, not of what ends
            await asyncio.sleep(0.05)
        await candidate.leads.wait()
        candidate.stop.set()


async def test_a_leader_that_says_nothing_is_followed(place: PostgresAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that hangs, or whose machine is gone without a word, keeps the duty from others for seconds alone."""
    monkeypatch.setattr(database_postgres, "_LOCK_WATCHED_EVERY", 600.0)
    monkeypatch.setattr(database_postgres, "_LOCK_SILENCE", 1)
    async with open_database(place) as hanging, open_database(place) as other, hanging.hold("sweeping") as held:
        assert held is not None
        async with asyncio.timeout(60):
            while True:
                async with other.hold("sweeping") as taken:
                    if taken is not None:
                        break
                await asyncio.sleep(0.1)


async def test_who_waits_for_a_duty_makes_no_connection_for_it(
    place: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another leads, a process that asks again and again makes no connection; when that one ends, it leads."""
    made: list[object] = []
    engine_for = database_postgres._engine

    def counted(*settings: Any) -> AsyncEngine:
        made.append(settings)
        return engine_for(*settings)

    async with open_database(place) as leading, open_database(place) as waiting:
        monkeypatch.setattr(database_postgres, "_engine", counted)
        async with leading.hold("sweeping"):
            made.clear()
            for _ in range(3):
                async with waiting.hold("sweeping") as taken:
                    assert taken is None
            assert not made
        async with waiting.hold("sweeping") as taken:
            assert taken is not None
        assert len(made) == 1


async def test_different_duties_are_had_side_by_side(place: PostgresAddress) -> None:
    """Who leads in one duty does not keep others from leading in another."""
    async with (
        open_database(place) as database,
        database.hold("sweeping") as one,
        database.hold("purging") as other,
        database.hold("sweeping") as same,
    ):
        assert one is not None
        assert other is not None
        assert same is None


async def test_a_file_has_one_program_and_that_leads(tmp_path: Path) -> None:
    """On SQLite nothing is asked: the program that serves leads."""
    async with open_database(tmp_path / "hub.db") as database, database.hold("sweeping") as lost:
        assert lost is not None
        assert not lost.is_set()
