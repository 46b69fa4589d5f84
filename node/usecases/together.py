"""Work that is cheaper done together: what arrives while one batch is under way makes the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from schemas.errors import Unavailable

T = TypeVar("T")


def _future() -> asyncio.Future[bool]:
    return asyncio.get_running_loop().create_future()


@dataclass(eq=False, slots=True)
class _Call(Generic[T]):
    """A caller with its item. It is told True when it is its turn to do the work, False when its item is done."""

    item: T
    told: asyncio.Future[bool] = field(default_factory=_future)


class Together(Generic[T]):
    """Calls `work` with every item handed in: with those of the same moment when idle, with all that wait when busy,
    up to `most` at a time.

    Whoever finds nothing under way does the work for a batch, and one of those who wait does it for the next: so there
    is no task to look after, and nobody is kept by the work of others.
    """

    def __init__(self, work: Callable[[list[T]], Awaitable[None]], *, most: int = 64) -> None:
        self._work = work
        self._most = most
        self._waiting: list[_Call[T]] = []
        self._busy = False

    async def __call__(self, item: T) -> None:
        """Have `item` worked on; raises what `work` raised for its batch, or Unavailable if that was broken off."""
        call = _Call(item)
        self._waiting.append(call)
        if self._busy:
            leads = await self._told(call)
        else:
            self._busy = leads = True
            # What others hand in at this same moment goes along.
            await self._leading(call, asyncio.sleep(0))
        while leads:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            call.told = _future()
            await self._leading(call, self._run(batch))
            self._pass_on()
            leads = await self._told(call)

    async def _told(self, call: _Call[T]) -> bool:
        try:
            return await call.told
        except asyncio.CancelledError:
            if call.told.done() and not call.told.cancelled() and call.told.exception() is None and call.told.result():
                # Its turn came in the moment in which it was cancelled.
                self._pass_on()
            raise

    async def _leading(self, call: _Call[T], step: Awaitable[None]) -> None:
        """Do a step for all; if `call`, whose caller it is, is cancelled, another one leads."""
        try:
            await step
        except BaseException:
            call.told.cancel()
            self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Let the first who still waits do the next batch; what the others before it handed in is done with it."""
        for call in self._waiting:
            if not call.told.done():
                call.told.set_result(True)
                return
        self._waiting = []
        self._busy = False

    async def _run(self, batch: list[_Call[T]]) -> None:
        try:
            await self._work([call.item for call in batch])
        except Exception as error:  # noqa: BLE001 - each caller gets the error of its batch
            _fail(batch, error)
        except BaseException:
            _fail(batch, Unavailable("interrupted", "The work was broken off."))
            raise
        else:
            for call in batch:
                if not call.told.done():
                    call.told.set_result(False)


def _fail(batch: list[_Call[T]], error: Exception) -> None:
    for call in batch:
        if not call.told.done():
            call.told.set_exception(error)
            # Its caller may be gone; then nobody retrieves it.
            call.told.exception()
