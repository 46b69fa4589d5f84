"""The pool of workers: rows of a queue, each worked on by one worker and begun once."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import timedelta
from random import Random

from node.usecases.work import Work
from node.workers.pool import Found, Pool
from runtime.wakeups import Wakeups
from tests.node.core.node_under_test import QUICK, Clock, eventually


class SlowQueue:
    """One row, whose work ends while the queue is being looked at: that look still shows it."""

    name = "slow"
    work = Work.HANDOVER
    parallel = 2
    longest_rest = timedelta(hours=1)

    def __init__(self) -> None:
        self.rows = ["row"]
        self.begun: list[str] = []
        self.looks = 0
        self.seen, self.ended = asyncio.Event(), asyncio.Event()

    async def look(self, limit: int, running: Collection[str]) -> Found[str]:
        snapshot = tuple(self.rows[:limit])
        self.looks += 1
        if self.looks == 2:
            self.seen.set()
            await self.ended.wait()
            await asyncio.sleep(0.01)
        return Found(snapshot, None)

    async def wake_due(self) -> None: ...

    async def recover(self) -> None: ...

    def key(self, row: str) -> str:
        return row

    def admits(self, row: str, running: Collection[str]) -> bool:
        return True

    async def do(self, row: str) -> None:
        self.begun.append(row)
        await self.seen.wait()
        self.rows.remove(row)
        self.ended.set()


async def test_a_row_that_ends_while_the_queue_is_looked_at_is_not_begun_again() -> None:
    """A look that began before a row's end shows the row as it was; it was handed over, and is not once more."""
    queue, wakeups, stop = SlowQueue(), Wakeups(), asyncio.Event()
    pool = Pool(queue, wakeups, clock=Clock(), backoff=QUICK, spread=0.1, chance=Random(1))
    running = asyncio.create_task(pool.run(stop))
    await eventually(lambda: bool(queue.begun))
    wakeups.wake(Work.HANDOVER)
    await queue.ended.wait()
    await eventually(lambda: queue.looks >= 3)
    stop.set()
    await running
    assert queue.begun == ["row"]
