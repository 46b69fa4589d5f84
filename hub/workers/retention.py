"""Drops what was kept long enough, in small steps beside the exchange."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from hub.usecases.retention import Retention
from runtime.lifecycle import Service, sleep_unless
from schemas.errors import CongvanError

log = structlog.get_logger()

#: Seconds between two looks when nothing was due.
INTERVAL: Final = 600.0
#: After a step the exchange has the database to itself for so many times as long as the step took.
PAUSES: Final = 4.0


def retention_service(retention: Retention, *, interval: float = INTERVAL) -> Service:
    """The service that purges; it looks every `interval` seconds, first at once."""

    async def run(stop: asyncio.Event) -> None:
        now = asyncio.get_running_loop().time
        while True:
            began = now()
            worked = False
            try:
                worked = await retention.step()
            except CongvanError as error:
                # A full disk or a busy database passes.
                log.warning("retention.failed", error=str(error))
            if await sleep_unless(stop, PAUSES * (now() - began) if worked else interval):
                return

    return run
