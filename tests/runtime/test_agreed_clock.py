"""A clock is held against the database server's, or where there is none against the time that has passed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from runtime.agreed_clock import AgreedClock, ClockDiffers
from runtime.clock import utc_now
from runtime.database import Database, open_database
from tests.services.columns import PostgresColumn


@dataclass(slots=True)
class Machine:
    """The right time, a clock that may be wrong by `ahead`, and the seconds that have passed."""

    ahead: timedelta = timedelta()
    passed: timedelta = timedelta()

    def clock(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC) + self.passed + self.ahead

    def seconds(self) -> float:
        return self.passed.total_seconds()

    def by_the_server(self) -> datetime:
        return utc_now() + self.ahead


@pytest.fixture
async def server(postgres_column: PostgresColumn, tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(postgres_column.place(tmp_path / "clock.db")) as database:
        yield database
    postgres_column.forget()


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "clock.db") as database:
        yield database


@pytest.mark.parametrize("days", [-800, -2, 2, 800])
async def test_a_clock_that_is_days_off_the_servers_serves_nobody(server: Database, days: int) -> None:
    """A clock that is wrong by days is in doubt, whichever way, and so wrong that nobody is answered by it."""
    agreed = AgreedClock(server, Machine(ahead=timedelta(days=days)).by_the_server)
    with pytest.raises(ClockDiffers, match=f"day.*{'ahead' if days > 0 else 'behind'}") as raised:
        await agreed.now()
    assert raised.value.mend
    assert abs(agreed.ahead - 86400 * days) < 600
    with pytest.raises(ClockDiffers):
        agreed.require_serving()


async def test_a_clock_that_is_hours_off_serves_and_is_in_doubt(server: Database) -> None:
    """By a clock that is wrong by hours documents go; nothing ends by it."""
    agreed = AgreedClock(server, Machine(ahead=timedelta(hours=-3)).by_the_server)
    assert not await agreed.agrees()
    agreed.require_serving()


async def test_a_right_clock_is_believed_and_a_wrong_one_told_of_once(server: Database) -> None:
    """What the clock says is given while it agrees; that it differs is logged once, and once that it agrees again."""
    machine = Machine()
    agreed = AgreedClock(server, machine.by_the_server)
    before = utc_now()
    assert before <= await agreed.now() <= utc_now()
    with capture_logs() as logs:
        machine.ahead = timedelta(hours=2)
        assert [await agreed.agrees() for _ in range(3)] == [False] * 3
        machine.ahead = timedelta()
        assert [await agreed.agrees() for _ in range(3)] == [True] * 3
    assert [entry["event"] for entry in logs] == ["clock.differs", "clock.agrees"]
    assert "NTP" in logs[0]["mend"]


async def test_a_difference_from_the_server_never_settles(server: Database) -> None:
    """However long two machines differ, nothing ends by either."""
    machine = Machine(ahead=timedelta(hours=2))
    agreed = AgreedClock(server, machine.by_the_server, passed=machine.seconds)
    assert not await agreed.agrees()
    machine.passed += timedelta(days=3)
    assert not await agreed.agrees()


@pytest.mark.parametrize("jump", [timedelta(days=800), timedelta(days=-5), timedelta(minutes=2)], ids=str)
async def test_a_lone_clock_that_jumps_is_in_doubt_until_it_is_back(file: Database, jump: timedelta) -> None:
    """Without a server's clock, one that is elsewhere than the time that has passed is not believed, and serves."""
    machine = Machine()
    agreed = AgreedClock(file, machine.clock, passed=machine.seconds)
    machine.ahead = jump
    machine.passed += timedelta(seconds=3)
    with pytest.raises(ClockDiffers, match="jumped"):
        await agreed.now()
    assert agreed.ahead == jump.total_seconds()
    agreed.require_serving()
    machine.ahead = timedelta()
    assert await agreed.now() == machine.clock()


async def test_a_lone_clock_that_was_set_is_believed_after_an_hour(file: Database) -> None:
    """A clock that stays where it was set was meant to be there; a long time that has passed is no jump."""
    machine = Machine()
    agreed = AgreedClock(file, machine.clock, passed=machine.seconds)
    machine.passed += timedelta(days=90)
    assert await agreed.agrees()
    machine.ahead = timedelta(hours=7)
    assert not await agreed.agrees()
    machine.passed += timedelta(minutes=59)
    assert not await agreed.agrees()
    machine.passed += timedelta(minutes=2)
    assert [await agreed.agrees() for _ in range(2)] == [True, True]
    assert agreed.ahead == 0.0


async def test_a_lone_clock_that_jumps_again_has_not_stood(file: Database) -> None:
    """The hour begins anew when a clock that is in doubt is set once more: the last jump may be the mistake."""
    machine = Machine()
    agreed = AgreedClock(file, machine.clock, passed=machine.seconds)
    machine.ahead = timedelta(hours=7)
    assert not await agreed.agrees()
    machine.passed += timedelta(minutes=59)
    machine.ahead = timedelta(days=800)
    assert not await agreed.agrees()
    machine.passed += timedelta(minutes=2)
    assert not await agreed.agrees()
    machine.passed += timedelta(minutes=59)
    assert await agreed.agrees()
