"""How a daemon lives: services side by side, one stop event, a grace period, then the end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final, TypeAlias

import structlog

from schemas.errors import Unavailable

log = structlog.get_logger()

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Seconds for which a thread that computes keeps the interpreter's lock while others wait for it.
_TURN: Final = 0.0005

#: A service runs until the stop event is set, then ends by itself. One that ends earlier is an error.
Service: TypeAlias = Callable[[asyncio.Event], Awaitable[None]]


async def run_services(services: Mapping[str, Service], stop: asyncio.Event, *, grace: float) -> None:
    """Run all `services` until `stop` is set or one of them fails; then give the others `grace` seconds to end."""
    tasks: dict[asyncio.Future[None], str] = {asyncio.ensure_future(run(stop)): name for name, run in services.items()}
    stopping: asyncio.Future[None] = asyncio.ensure_future(_set(stop))
    failure: BaseException | None = None
    try:
        done, _ = await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            if task.exception() is not None:
                failure = task.exception()
                log.error("service.failed", service=tasks[task], error=repr(failure))
            elif not stop.is_set():
                failure = Unavailable("service-ended", f"The service {tasks[task]} ended by itself.")
                log.error("service.ended", service=tasks[task])
    finally:
        stop.set()
        stopping.cancel()
        _, late = await asyncio.wait(tasks, timeout=grace)
        for task in late:
            log.warning("service.aborted", service=tasks[task], grace_seconds=grace)
            task.cancel()
        for task, outcome in zip(tasks, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
            if isinstance(outcome, Exception) and outcome is not failure:
                log.error("service.failed", service=tasks[task], error=repr(outcome))
                failure = failure or outcome
    if failure is not None:
        raise failure


async def _set(stop: asyncio.Event) -> None:
    await stop.wait()


def spare_what_stays() -> None:
    """Take what the program has loaded out of garbage collection: for a daemon, once, before it serves.

    Modules make objects by the hundred thousand. To walk them held everything up for 70 ms in each full collection.
    """
    gc.collect()
    gc.freeze()


def take_short_turns() -> None:
    """Let threads have the interpreter's lock from each other after half a millisecond: for a daemon, once.

    Python's own 5 ms are a wait that the event loop, and every thread that an urgent document goes through, meets a
    dozen times while another thread judges a batch. Throughput does not suffer (docs/performance.md).
    """
    sys.setswitchinterval(_TURN)


@contextlib.contextmanager
def stop_on_signals(stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` on SIGINT, SIGTERM and SIGHUP, which a terminal sends when it is closed."""
    loop = asyncio.get_running_loop()
    for number in _STOPPING:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in _STOPPING:
            loop.remove_signal_handler(number)


async def sleep_unless(stop: asyncio.Event, seconds: float) -> bool:
    """Wait `seconds`, or less if `stop` is set meanwhile; True if it is."""
    # Not `wait_for`: in Python 3.11 it loses a cancellation that comes in the moment in which the event is set.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
    return stop.is_set()
