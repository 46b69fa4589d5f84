"""Only faults that were felt count, none heals another, and nothing ends unseen."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from congvan.demo.programs import Program
from tests.crash import stamped
from tests.crash.clocks import WrongClock, preloadable
from tests.crash.effects import WrongTimes
from tests.crash.network import Line
from tests.crash.run import unfelt
from tests.crash.schedule import Fault, FaultKind
from tests.crash.site import CrashSite
from tests.crash.supervisor import Supervisor

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
HOST = "127.0.0.1"


@pytest.mark.parametrize(("off", "is_told"), [(3600, True), (3601, True), (0, False), (-3600, False)])
def test_a_clock_jump_counts_when_the_program_tells_the_wrong_time(tmp_path: Path, off: int, is_told: bool) -> None:
    """Only a stamp that was written after the jump, by the time that was set, shows that a program goes by it."""
    stamp = tmp_path / "stamp"
    stamp.write_text(str((NOW + timedelta(hours=1)).timestamp()))
    times = WrongTimes(stamp, 3600, lambda: NOW)
    assert not times.are_told()
    stamp.write_text(str((NOW + timedelta(seconds=off)).timestamp()))
    assert times.are_told() == is_told


def test_a_program_stamps_the_time_by_which_it_goes(tmp_path: Path) -> None:
    """Also one that has nothing to log; it takes the arguments that `congvan` takes, and those that are added."""
    stamp = tmp_path / "stamp"
    clock = WrongClock(tmp_path / "clock", preloadable(tmp_path))
    clock.set(86_400)
    ran = subprocess.run(
        [sys.executable, stamped.__file__, str(stamp), "--help", "envelope"],
        env={**os.environ, **clock.environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "congvan envelope" in ran.stdout
    assert not ran.stderr, "the thread that stamps goes on"
    assert WrongTimes.stamped(stamp) == pytest.approx(time.time() + 86_400, abs=600)


def test_faults_without_effect_are_missed() -> None:
    """A run whose faults did less than was asked, or in which a kind did nothing, says so."""
    kill = Fault(FaultKind.KILL, "hub", 1, 0, 1)
    stall = Fault(FaultKind.STALL, "node-H23", 1, 0, 1)
    assert not list(unfelt([kill, stall], [stall, kill]))
    assert len(list(unfelt([kill, kill, stall], [kill, stall]))) == 1
    assert len(list(unfelt([kill, stall], [kill]))) == 2


async def test_a_fault_does_not_heal_another_one(tmp_path: Path) -> None:
    """Of two refusals at one node each lasts its time, and neither counts where no connection stood."""
    site = CrashSite(tmp_path, 0)
    line = site.lines["node-H23"] = Line(HOST)
    await line.open()
    short = Fault(FaultKind.REFUSE, "node-H23", 0, 0, 0.1)
    both = asyncio.gather(site.strike(dataclasses.replace(short, seconds=0.4)), site.strike(short))
    await asyncio.sleep(0.25)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HOST, line.port)
    assert not any(await both)
    await line.close()


async def test_a_program_that_ends_by_itself_is_told(tmp_path: Path) -> None:
    """A kill counts if there was something to kill; an end that nobody brought about is on record."""
    programs = {
        name: Program(("-c", script), tmp_path / name, command=("sh",))
        for name, script in (("killed", "exec sleep 60"), ("failing", "exit 3"))
    }
    async with Supervisor(programs, lambda _: False) as supervisor:
        for _ in range(500):
            if supervisor.ends and programs["killed"].is_running:
                break
            await asyncio.sleep(0.02)
        assert await supervisor.kill("killed", pause=60)
        assert not await supervisor.kill("killed", pause=60)
        assert {(end.program, end.status, end.explained) for end in supervisor.ends} == {("failing", 3, False)}
