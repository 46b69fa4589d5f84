"""Adapters as services: foreign code that fails is started again; the node's own work goes on meanwhile."""

from __future__ import annotations

import asyncio

import structlog

from adapters.sdk import Adapter
from runtime.lifecycle import Service, sleep_unless

log = structlog.get_logger()

#: Seconds until an adapter that ended by itself is started again: doubled each time, up to the longest.
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0


def supervised(name: str, adapter: Adapter) -> Service:
    """The service that runs the adapter `name` as a source until the node stops."""

    async def run(stop: asyncio.Event) -> None:
        wait = _FIRST_WAIT
        while not stop.is_set():
            try:
                await adapter.run(stop)
            except Exception:
                # Whatever a foreign adapter raises: the others, and all that the node does by itself, go on.
                log.exception("adapter.failed", adapter=name, again_seconds=wait)
            else:
                if not stop.is_set():
                    log.error("adapter.ended", adapter=name, again_seconds=wait)
            await sleep_unless(stop, wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    return run
