"""Services: they live and end together."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys

import pytest

from runtime.lifecycle import run_services, sleep_unless, spare_what_stays, stop_on_signals, take_short_turns
from schemas.errors import Unavailable


async def until_stopped(stop: asyncio.Event) -> None:
    await stop.wait()


async def test_services_end_when_stopped() -> None:
    """Setting the stop event ends every service, and the run without an error."""
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, stop.set)
    await run_services({"a": until_stopped, "b": until_stopped}, stop, grace=5)


async def test_a_failing_service_ends_the_others_and_is_the_error() -> None:
    """One service's failure stops the program; nothing runs on half-alive."""
    ended: list[str] = []

    async def failing(stop: asyncio.Event) -> None:
        raise ValueError("broken")

    async def witness(stop: asyncio.Event) -> None:
        await stop.wait()
        ended.append("witness")

    with pytest.raises(ValueError, match="broken"):
        await run_services({"failing": failing, "witness": witness}, asyncio.Event(), grace=5)
    assert ended == ["witness"]


async def test_a_service_that_ends_by_itself_is_an_error() -> None:
    """A service that returns before the stop would leave the program deaf: it counts as a failure."""

    async def brief(stop: asyncio.Event) -> None: ...

    with pytest.raises(Unavailable, match="brief ended by itself"):
        await run_services({"brief": brief, "other": until_stopped}, asyncio.Event(), grace=5)


async def test_a_service_past_its_grace_is_aborted() -> None:
    """A service that ignores the stop is cancelled once the grace period is over."""
    cancelled = asyncio.Event()

    async def deaf(stop: asyncio.Event) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    stop = asyncio.Event()
    stop.set()
    await run_services({"deaf": deaf}, stop, grace=0.01)
    assert cancelled.is_set()


async def test_signals_stop() -> None:
    """SIGTERM sets the stop event."""
    stop = asyncio.Event()
    with stop_on_signals(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        assert await sleep_unless(stop, 10)


def test_what_is_loaded_is_not_walked_again_by_each_collection() -> None:
    """A full collection after it has only what came since to walk."""
    before = len(gc.get_objects())
    try:
        spare_what_stays()
        assert len(gc.get_objects()) < before / 10
    finally:
        gc.unfreeze()


def test_a_thread_that_computes_gives_way_soon() -> None:
    """After it, whoever waits for the interpreter's lock asks for it ten times as often as Python has it."""
    before = sys.getswitchinterval()
    pythons_own = 0.005
    try:
        sys.setswitchinterval(pythons_own)
        take_short_turns()
        assert sys.getswitchinterval() <= pythons_own / 10
    finally:
        sys.setswitchinterval(before)
