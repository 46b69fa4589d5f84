"""What keeps the outbox and the carried wake-ups going."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from hub.usecases.carrying import CarriedWakeups
from hub.usecases.outbox import Outbox
from hub.usecases.waking import WORK
from runtime.lifecycle import Service, sleep_unless
from runtime.wakeups import Wakeups, wait_for_event
from schemas.errors import Unavailable

log = structlog.get_logger()

#: Seconds between two looks at what is due, when nobody wakes it.
RECHECK: Final = 1.0
#: Seconds to wait when the database, or the broker, does not take anything.
PAUSE: Final = 2.0


def outbox_service(
    outbox: Outbox,
    wakeups: Wakeups,
    *,
    linked: asyncio.Event,
    is_linked: Callable[[], bool],
    look: float,
) -> Service:
    """The service that announces work; `linked` is set whenever the broker is back, and may have lost everything.

    Every `look` seconds it looks whether anything was forgotten.
    """

    async def step(looked_at: float) -> float:
        """One round; gives when the last look was."""
        now = asyncio.get_running_loop().time()
        is_back = linked.is_set()
        linked.clear()
        if is_back or now - looked_at >= look:
            await outbox.look()
            looked_at = now
            if is_linked():
                await outbox.refill(linked=is_back)
        while is_linked() and await outbox.announce_due():
            pass
        return looked_at

    async def run(stop: asyncio.Event) -> None:
        looked_at = float("-inf")
        with wakeups.listen(WORK) as event:
            while not stop.is_set():
                try:
                    looked_at = await step(looked_at)
                except Unavailable as error:
                    log.warning("outbox.paused", error=str(error))
                    await sleep_unless(stop, PAUSE)
                    continue
                await wait_for_event(event, RECHECK)

    return run


def carrying_service(carried: CarriedWakeups, announce: Callable[[str, bytes], Awaitable[None]]) -> Service:
    """The service that takes wake-ups to the other processes, by `announce`."""

    async def run(stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await carried.send(announce, wait=RECHECK)
            except Unavailable as error:
                # Whoever was to be woken looks by himself.
                log.warning("wakeups.lost", error=str(error))

    return run
