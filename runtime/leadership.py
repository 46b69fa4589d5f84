"""Duties that one of several equal processes has: it holds a lock in the database while it carries them out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import structlog

from runtime.grouped_writes import Database
from runtime.lifecycle import Service, sleep_unless
from schemas.errors import Unavailable

log = structlog.get_logger()

#: Seconds until a process that does not lead asks again: about as long nobody leads after a leader was killed.
INTERVAL: Final = 3.0


async def always() -> bool:
    """Fit to lead, whatever happens."""
    return True


def led(
    database: Database,
    duty: str,
    service: Service,
    *,
    is_fit: Callable[[], Awaitable[bool]] = always,
    interval: float = INTERVAL,
) -> Service:
    """`service`, run only while this process leads in `duty` among those that work in `database`.

    It leads only while it `is_fit` for it, and leaves the duty to another one as soon as it is not.
    When the lock is lost (the server was restarted), the service is told to stop. Another process may lead before it
    has: what a duty does must bear that, for a moment.
    """

    async def run(stop: asyncio.Event) -> None:
        waits = False
        while not stop.is_set():
            async with contextlib.AsyncExitStack() as stack:
                try:
                    lost = await stack.enter_async_context(database.hold(duty)) if await is_fit() else None
                except Unavailable as error:
                    log.warning("duty.unreachable", duty=duty, rule=error.code, reason=error.message)
                    lost = None
                if lost is not None:
                    log.info("duty.taken", duty=duty)
                    unfit = await stack.enter_async_context(_watched(is_fit, interval))
                    await _run_until(service, stop, lost, unfit)
                    log.info("duty.left", duty=duty)
                elif not waits:
                    log.info("duty.awaited", duty=duty)
                waits = lost is None
            await sleep_unless(stop, interval)

    return run


@contextlib.asynccontextmanager
async def _watched(is_fit: Callable[[], Awaitable[bool]], interval: float) -> AsyncIterator[asyncio.Event]:
    """Gives an event that is set once the process is no longer fit."""
    unfit = asyncio.Event()

    async def watch() -> None:
        while not unfit.is_set():
            # Of a database that is away the lock's own watch tells.
            with contextlib.suppress(Unavailable):
                if not await is_fit():
                    unfit.set()
            await sleep_unless(unfit, interval)

    watching = asyncio.create_task(watch())
    try:
        yield unfit
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _run_until(service: Service, *ends: asyncio.Event) -> None:
    """Run `service` until one of `ends` is set, or until it ends by itself or fails."""
    over = asyncio.Event()
    running = asyncio.ensure_future(service(over))
    waits = [asyncio.create_task(event.wait()) for event in ends]
    try:
        await asyncio.wait([running, *waits], return_when=asyncio.FIRST_COMPLETED)
        over.set()
        await running
    finally:
        for task in (running, *waits):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*waits, return_exceptions=True)
