"""Runs the recovery of attachments: when messages were fetched back, and again while some could not be had."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

from node.settings_exchange import BackoffSettings
from node.usecases.attachment_recovery import AttachmentRecovery
from node.usecases.backoff import wait_after
from node.usecases.work import Work
from node.workers.stopping import woken_by
from runtime.lifecycle import sleep_unless
from runtime.wakeups import Wakeups, wait_for_event

#: Seconds after which it looks by itself: a wake-up says that there is something, not that there is nothing.
_INTERVAL: Final = 600.0


class AttachmentFetcher:
    """A service."""

    def __init__(
        self, recovery: AttachmentRecovery, wakeups: Wakeups, *, backoff: BackoffSettings, chance: Random
    ) -> None:
        self._recovery = recovery
        self._wakeups = wakeups
        self._backoff = backoff
        self._chance = chance

    async def run(self, stop: asyncio.Event) -> None:
        failures = 0
        with self._wakeups.listen(Work.OWN_ATTACHMENTS) as recovered:
            async with woken_by(stop, recovered):
                while not stop.is_set():
                    if await self._recovery.fetch_all():
                        failures = 0
                        await wait_for_event(recovered, _INTERVAL)
                    else:
                        failures += 1
                        await sleep_unless(stop, wait_after(failures, self._backoff, self._chance))
