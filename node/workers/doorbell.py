"""The doorbell: commands beside the daemon ring it, and all work looks up."""

from __future__ import annotations

import asyncio
from pathlib import Path

from node.usecases.work import wake_all
from node.workers.stopping import woken_by
from runtime.lifecycle import Service
from runtime.wakeups import Wakeups, doorbell


def doorbell_service(path: Path, wakeups: Wakeups) -> Service:
    """The service that answers the doorbell at `path`."""

    async def run(stop: asyncio.Event) -> None:
        rung = asyncio.Event()
        async with doorbell(path, rung), woken_by(stop, rung):
            while not stop.is_set():
                await rung.wait()
                rung.clear()
                wake_all(wakeups)

    return run
