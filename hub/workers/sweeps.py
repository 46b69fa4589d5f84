"""Ends what nobody ends: overdue deliveries, submissions given up, files that belong to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from hub.usecases.expiry import Expiry
from hub.usecases.leavings import Leavings
from runtime.lifecycle import Service, sleep_unless
from schemas.errors import CongvanError

log = structlog.get_logger()

#: Seconds between two looks at the database.
INTERVAL: Final = 60.0
#: Every so many looks the folder of attachments is read as well.
LOOKS_PER_READING: Final = 24 * 60


def sweep_service(expiry: Expiry, leavings: Leavings, *, interval: float = INTERVAL) -> Service:
    """The service that sweeps, first at once."""

    async def run(stop: asyncio.Event) -> None:
        looks = 0
        while True:
            await _try("expiry", expiry.run)
            await _try("submissions", leavings.drop_submissions)
            if looks % LOOKS_PER_READING == 0:
                await _try("files", leavings.drop_files)
            looks += 1
            if await sleep_unless(stop, interval):
                return

    return run


async def _try(sweep: str, work: Callable[[], Awaitable[None]]) -> None:
    """A full disk or a busy database passes; the next look goes on."""
    try:
        await work()
    except CongvanError as error:
        log.warning("sweep.failed", sweep=sweep, error=str(error))
