"""Work that is cheaper done together: what arrives while one batch is under way makes the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from schemas.errors import Unavailable

T = TypeVar("T")


class Together(Generic[T]):
    """Calls `work` with every item handed in: with those of the same moment when idle, with all that wait when busy.

    Whoever finds nothing under way does the work for all, so that there is no task to look after.
    """

    def __init__(self, work: Callable[[list[T]], Awaitable[None]]) -> None:
        self._work = work
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._busy = False

    async def __call__(self, item: T) -> None:
        """Have `item` worked on; raises what `work` raised for its batch, or Unavailable if that was broken off."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._busy:
            await done
            return
        self._busy = True
        try:
            # What others hand in at this same moment goes along.
            await asyncio.sleep(0)
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._run(batch)
        finally:
            self._busy = False
            _fail([future for _, future in self._waiting], Unavailable("interrupted", "The work was broken off."))
            self._waiting = []
        await done

    async def _run(self, batch: list[tuple[T, asyncio.Future[None]]]) -> None:
        futures = [future for _, future in batch]
        try:
            await self._work([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - each caller gets the error of its batch
            _fail(futures, error)
        except BaseException:
            _fail(futures, Unavailable("interrupted", "The work was broken off."))
            raise
        else:
            for future in futures:
                if not future.done():
                    future.set_result(None)


def _fail(futures: list[asyncio.Future[None]], error: Exception) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)
            # Its caller may be gone; then nobody retrieves it.
            future.exception()
