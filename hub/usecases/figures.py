"""Figures for those who look at the hub from outside: taken when asked for, and kept for a moment."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

import structlog

from hub.store import figures
from hub.store.figures import Figures
from runtime.clock import Clock
from runtime.database import Database
from schemas.errors import Unavailable

log = structlog.get_logger()

#: However often somebody asks, the database is asked no oftener.
FRESH: Final = timedelta(seconds=10)


class FiguresOfNow:
    """What waits at a hub, at most ten seconds old."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._asking = asyncio.Lock()
        self._taken: Figures | None = None
        self._taken_at: datetime | None = None

    async def get(self) -> Figures | None:
        """The figures; None while the database does not give any."""
        async with self._asking:
            now = self._clock()
            if self._taken_at is None or not timedelta(0) <= now - self._taken_at < FRESH:
                self._taken_at = now
                try:
                    self._taken = await self._database.read(figures.of_now)
                except Unavailable as error:
                    log.warning("figures.missing", error=str(error))
                    self._taken = None
            return self._taken
