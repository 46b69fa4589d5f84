"""The watcher of holds: asks when something has arrived, and now and then while something is held."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from node.usecases.holds import Holds
from node.usecases.work import Work
from node.workers.stopping import woken_by
from runtime.lifecycle import sleep_unless
from runtime.wakeups import Wakeups, wait_for_event
from schemas.errors import CongvanError

log = structlog.get_logger()

#: Seconds between two rounds of questions: at most, and at least, however much arrives.
_INTERVAL: Final = 30.0
_PAUSE: Final = 2.0


class HoldWatcher:
    """A service."""

    def __init__(self, holds: Holds, wakeups: Wakeups) -> None:
        self._holds = holds
        self._wakeups = wakeups

    async def run(self, stop: asyncio.Event) -> None:
        with self._wakeups.listen(Work.HOLDS) as arrivals:
            async with woken_by(stop, arrivals):
                while not stop.is_set():
                    try:
                        await self._holds.review()
                    except CongvanError as error:
                        log.warning("holds.not-reviewed", rule=error.code, reason=error.message)
                    await sleep_unless(stop, _PAUSE)
                    await wait_for_event(arrivals, _INTERVAL)
