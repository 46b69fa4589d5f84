"""The watcher of deadlines: looks every minute, for deadlines are days."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from node.usecases.deadlines import Deadlines
from runtime.lifecycle import sleep_unless
from schemas.errors import CongvanError

log = structlog.get_logger()

#: Seconds between two looks.
_INTERVAL: Final = 60.0


class DeadlineWatcher:
    """A service."""

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._deadlines.tell()
            except CongvanError as error:
                log.warning("deadlines.not-told", rule=error.code, reason=error.message)
            await sleep_unless(stop, _INTERVAL)
