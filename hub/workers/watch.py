"""Looks after the connections every few seconds."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from hub.usecases.watch import Watch
from runtime.lifecycle import Service, sleep_unless
from schemas.errors import Unavailable

log = structlog.get_logger()

#: Seconds between two looks: the longest time until the operator hears that a silent connection is back.
INTERVAL: Final = 5.0


def watch_service(watch: Watch, *, interval: float = INTERVAL) -> Service:
    """The service that watches, first at once."""

    async def run(stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await watch.look()
            except Unavailable as error:
                # A full disk or a busy database passes; what was seen is noted at the next look.
                log.warning("watch.failed", error=str(error))
            await sleep_unless(stop, interval)

    return run
