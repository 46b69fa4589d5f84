"""How a loop that waits for work hears that it is to stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def woken_by(stop: asyncio.Event, *events: asyncio.Event) -> AsyncIterator[None]:
    """Inside, `stop` sets `events` as well, so that whoever waits for one of them looks up."""

    async def wake() -> None:
        await stop.wait()
        for event in events:
            event.set()

    waking = asyncio.create_task(wake())
    try:
        yield
    finally:
        waking.cancel()
        await asyncio.gather(waking, return_exceptions=True)
