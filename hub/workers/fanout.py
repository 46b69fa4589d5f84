"""Writes the deliveries that acceptances left, as soon as there are some."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from hub.usecases.fanout import Fanout
from hub.usecases.waking import FANOUT
from runtime.lifecycle import Service, sleep_unless
from runtime.wakeups import Wakeups, wait_for_event
from schemas.errors import Unavailable

log = structlog.get_logger()

#: Seconds between two looks when nobody wakes it: the longest delay when a wake-up is lost, and at a stop.
RECHECK: Final = 1.0
#: Seconds to wait when the database cannot be written.
PAUSE: Final = 5.0


def fanout_service(
    fanout: Fanout, wakeups: Wakeups, *, left_to_others: Callable[[], bool] = lambda: False, recheck: float = RECHECK
) -> Service:
    """The service that fans out; it looks every `recheck` seconds by itself, while it is not `left_to_others`."""

    async def run(stop: asyncio.Event) -> None:
        with wakeups.listen(FANOUT) as event:
            while not stop.is_set():
                if left_to_others():
                    await wait_for_event(event, recheck)
                    continue
                try:
                    wrote = await fanout.step()
                except Unavailable as error:
                    log.warning("fanout.failed", error=str(error))
                    await sleep_unless(stop, PAUSE)
                    continue
                if not wrote:
                    await wait_for_event(event, recheck)

    return run
