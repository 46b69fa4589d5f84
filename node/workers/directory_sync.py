"""The directory's worker: asks for new versions now and then, and says when the copy is too old to rely on."""

from __future__ import annotations

import asyncio
from random import Random

import structlog

from node.settings_exchange import DirectorySettings
from node.usecases.directory import DirectoryCopy
from runtime.lifecycle import sleep_unless
from schemas.errors import CongvanError, Unavailable
from transport.client import HubClient

log = structlog.get_logger()


class DirectorySync:
    """A service. The receiver syncs as well, when the hub speaks of a newer version."""

    def __init__(
        self, directory: DirectoryCopy, hub: HubClient, *, settings: DirectorySettings, chance: Random
    ) -> None:
        self._directory = directory
        self._hub = hub
        self._interval = settings.interval
        self._chance = chance

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            seconds = self._interval * self._chance.uniform(0.9, 1.1)
            try:
                await self._directory.sync(self._hub)
                await self._directory.warn_if_expired()
            except CongvanError as error:
                log.warning("directory.not-synced", rule=error.code, reason=error.message)
                if isinstance(error, Unavailable) and error.retry_after is not None:
                    seconds = max(seconds, error.retry_after * self._chance.uniform(1.0, 1.2))
            await sleep_unless(stop, seconds)
