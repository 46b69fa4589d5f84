"""Wake-ups: hints inside a process and between processes."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from pathlib import Path

from runtime.lifecycle import sleep_unless
from runtime.wakeups import EVERYTHING, Wakeups, doorbell, ring, wait_for_event


async def test_a_listener_hears_its_key_alone() -> None:
    """wake(key) sets the events of that key's listeners and no others."""
    wakeups = Wakeups()
    with wakeups.listen("a") as a, wakeups.listen("a") as again, wakeups.listen("b") as b:
        wakeups.wake("a")
        assert (a.is_set(), again.is_set(), b.is_set()) == (True, True, False)


async def test_a_listener_that_left_costs_nothing() -> None:
    """After the last listener of a key left, nothing of the key is kept."""
    wakeups = Wakeups()
    with wakeups.listen("a"):
        pass
    wakeups.wake("a")
    assert not wakeups._events


async def test_what_is_woken_is_carried_and_what_was_heard_is_not() -> None:
    """A key that is woken goes to other processes as well; one that came from them, or is for here alone, does not."""
    wakeups, carried = Wakeups(), list[Hashable]()
    wakeups.carry_with(carried.append)
    with wakeups.listen("a") as a, wakeups.listen("b") as b:
        wakeups.wake("a")
        wakeups.wake_here("b")
        assert (a.is_set(), b.is_set(), carried) == (True, True, ["a"])
        a.clear()
        b.clear()
        wakeups.wake_here(EVERYTHING)
        assert (a.is_set(), b.is_set(), carried) == (True, True, ["a"])
        wakeups.wake_all()
        assert carried == ["a", EVERYTHING]


async def test_a_cancellation_is_not_lost_to_a_wake_up_of_the_same_moment() -> None:
    """Who is cancelled in the moment in which the event is set ends, rather than waiting for the next event."""
    for wait in (wait_for_event, sleep_unless):
        event = asyncio.Event()
        waiting = asyncio.create_task(wait(event, 60.0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        event.set()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()


async def test_a_ring_sets_the_event(tmp_path: Path) -> None:
    """ring() sets the event of the process that holds the doorbell, however deep its folder lies."""
    folder = tmp_path / ("x" * 100) / ("y" * 100)
    folder.mkdir(parents=True)
    event = asyncio.Event()
    async with doorbell(folder / "doorbell", event):
        assert (folder / "doorbell").stat().st_mode & 0o077 == 0
        await asyncio.to_thread(ring, folder / "doorbell")
        assert await wait_for_event(event, 10)
        assert not event.is_set()
    assert not (folder / "doorbell").exists()


def test_ringing_where_nobody_listens_is_no_error(tmp_path: Path) -> None:
    """A doorbell that is absent, or left over from a killed process, is passed over in silence."""
    ring(tmp_path / "doorbell")
    (tmp_path / "doorbell").touch()
    ring(tmp_path / "doorbell")
