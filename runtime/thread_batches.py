"""Short work for a thread, done a batch at a time: what is handed in at once, or while one batch is worked on.

A hop to a thread and back costs as much processor time as a dozen statements (docs/performance.md): two wake-ups, a
system call, and the interpreter's lock changing hands. Work that many ask for at once shares it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

#: How many items one batch takes at most.
BATCH = 64


class ThreadBatches(Generic[T, R]):
    """Does `work` for each item handed in, in one thread of `executor` at a time (None: the event loop's own threads).

    `work` gives the outcome of each item, in order; an exception among them is raised where the item was handed in. If
    it raises, all of its batch is told so. A caller that is cancelled takes nobody's work along.
    """

    def __init__(
        self, work: Callable[[Sequence[T]], Sequence[R | Exception]], *, executor: Executor | None = None
    ) -> None:
        self._work = work
        self._executor = executor
        self._lock = Lock()
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._busy = False

    async def __call__(self, item: T) -> R:
        """The outcome of `item`."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[R] = loop.create_future()
        with self._lock:
            self._waiting.append((item, outcome))
            begins, self._busy = not self._busy, True
        if begins:
            # Those who ask in the same turn of the event loop go along.
            loop.call_soon(self._begin, loop)
        return await outcome

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.run_in_executor(self._executor, self._work_off, loop)
        except RuntimeError as error:
            # The executor takes nothing any more: the program is ending.
            with self._lock:
                waiting, self._waiting, self._busy = self._waiting, [], False
            _tell([outcome for _, outcome in waiting], [error] * len(waiting))

    def _work_off(self, loop: asyncio.AbstractEventLoop) -> None:
        while batch := self._taken():
            try:
                outcomes = self._work([item for item, _ in batch])
            except Exception as error:  # noqa: BLE001 - it belongs to those who wait for the batch
                outcomes = [error] * len(batch)
            loop.call_soon_threadsafe(_tell, [outcome for _, outcome in batch], outcomes)

    def _taken(self) -> list[tuple[T, asyncio.Future[R]]]:
        with self._lock:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            self._busy = bool(batch)
            return batch


def _tell(waiting: Sequence[asyncio.Future[R]], outcomes: Sequence[R | Exception]) -> None:
    for future, outcome in zip(waiting, outcomes, strict=True):
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
