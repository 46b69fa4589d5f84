"""The reporter: tells the hub what is queued for it, in batches.

What is told of a batch of mail waits a moment for more: its hand-overs have mostly ended by then, and each request
costs this node, the hub and the senders' nodes as much as some documents do. What is told of an express document does
not wait.
"""

from __future__ import annotations

import asyncio
from random import Random

import structlog

from node.settings_exchange import ReportSettings
from node.usecases.backoff import wait_after
from node.usecases.reporting import Reporting
from node.usecases.work import Work
from node.workers.stopping import woken_by
from runtime.lifecycle import sleep_unless
from runtime.wakeups import Wakeups, wait_for_event
from schemas.errors import Unavailable

log = structlog.get_logger()

#: A wake-up can be lost, so the queue is looked at again now and then (seconds).
_RECHECK = 15.0


class Reporter:
    """A service. When the hub is back, it goes on within `spread` seconds."""

    def __init__(
        self, reporting: Reporting, wakeups: Wakeups, *, settings: ReportSettings, spread: float, chance: Random
    ) -> None:
        self._reporting = reporting
        self._wakeups = wakeups
        self._settings = settings
        self._spread = spread
        self._chance = chance

    async def run(self, stop: asyncio.Event) -> None:
        failures = 0
        listen = self._wakeups.listen
        with (
            listen(Work.REPORTING) as work,
            listen(Work.EXPRESS_REPORTING) as express,
            listen(Work.RECOVERY) as recovery,
        ):
            async with woken_by(stop, work, express, recovery):
                while not stop.is_set():
                    work.clear()
                    try:
                        if not await self._reporting.report():
                            await wait_for_event(work, _RECHECK)
                        await wait_for_event(express, self._settings.gather)
                        failures = 0
                    except Unavailable as error:
                        failures += 1
                        seconds = wait_after(failures, self._settings.backoff, self._chance, asked=error.retry_after)
                        log.warning("reporter.paused", seconds=round(seconds, 1), rule=error.code, reason=error.message)
                        if await wait_for_event(recovery, seconds):
                            await sleep_unless(stop, self._chance.uniform(0.0, self._spread))
