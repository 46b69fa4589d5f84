"""Drops what was kept long enough, in small steps beside the exchange."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from node.usecases.retention import Retention
from runtime.lifecycle import sleep_unless
from schemas.errors import CongvanError

log = structlog.get_logger()

#: Seconds between two looks when nothing was due.
_INTERVAL: Final = 600.0
#: After a step the exchange has the database to itself for so many times as long as the step took.
_PAUSES: Final = 4.0


class Purger:
    """A service."""

    def __init__(self, retention: Retention) -> None:
        self._retention = retention

    async def run(self, stop: asyncio.Event) -> None:
        now = asyncio.get_running_loop().time
        while not stop.is_set():
            began = now()
            worked = False
            try:
                worked = await self._retention.step()
            except CongvanError as error:
                # A full disk or a busy database passes.
                log.warning("retention.failed", reason=str(error))
            await sleep_unless(stop, _PAUSES * (now() - began) if worked else _INTERVAL)
