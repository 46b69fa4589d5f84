"""The sweeper: clears away, now and then, what came to nothing."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

import structlog

from node.usecases.leavings import Leavings
from runtime.lifecycle import sleep_unless
from schemas.errors import CongvanError

log = structlog.get_logger()

#: Seconds between two sweeps.
_INTERVAL: Final = 6 * 3600.0


class Sweeper:
    """A service. It begins some time after the start, when the node has better to do."""

    def __init__(self, leavings: Leavings, chance: Random) -> None:
        self._leavings = leavings
        self._chance = chance

    async def run(self, stop: asyncio.Event) -> None:
        while not await sleep_unless(stop, _INTERVAL * self._chance.uniform(0.1, 1.0)):
            try:
                await self._leavings.drop()
            except (CongvanError, OSError) as error:
                log.warning("sweep.failed", reason=str(error))
