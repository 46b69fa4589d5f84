"""What one request may cost: how often, how many at once, how long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from adapters.vxp.settings import VxpSettings
from schemas.errors import Rejected, Unavailable
from schemas.limits import MIB

#: Bytes of a document for which an answer has one second more.
_BYTES_A_SECOND: Final = 2 * MIB

#: Requests are counted over so many seconds, so that a short burst passes.
_WINDOW: Final = 2.0


@dataclass(slots=True)
class _Allowance:
    left: float
    at: float


class Gate:
    """Lets requests pass in their turn. Whoever is refused takes that for a refusal of the document: so they wait.

    `now` gives seconds of a clock that never goes back, `sleep` lets so many of them pass.
    """

    def __init__(
        self,
        settings: VxpSettings,
        now: Callable[[], float],
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._now = now
        self._sleep = sleep
        self._places = asyncio.Semaphore(settings.requests)
        self._transfers = asyncio.Semaphore(settings.transfers)
        self._allowances: dict[str, _Allowance] = {}

    def place(self) -> AbstractAsyncContextManager[None]:
        """One of the requests that are worked on; raises Unavailable `busy` if none comes free in time."""
        return self._one_of(self._places)

    def transfer(self) -> AbstractAsyncContextManager[None]:
        """A place to copy a document in; raises Unavailable `busy` if none comes free in time."""
        return self._one_of(self._transfers)

    async def turn(self, system_id: str) -> None:
        """Wait until the system may make one more request. Raises `too-many-requests` if that is too far away."""
        rate = self._settings.requests_per_second
        burst = max(rate * _WINDOW, 1.0)
        now = self._now()
        # Only verified names come here, so there are no more of them than systems.
        allowance = self._allowances.setdefault(system_id, _Allowance(burst, now))
        allowance.left = min(burst, allowance.left + (now - allowance.at) * rate)
        allowance.at = now
        wait = (1 - allowance.left) / rate
        if wait > self._settings.answer_seconds:
            raise Rejected(
                "too-many-requests",
                f"{system_id} makes more than {rate:g} requests a second.",
                mend="Come again in a minute.",
            )
        allowance.left -= 1
        if wait > 0:
            await self._sleep(wait)

    @contextlib.asynccontextmanager
    async def _one_of(self, places: asyncio.Semaphore) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._settings.answer_seconds):
                await places.acquire()
        except TimeoutError as error:
            raise Unavailable("busy", "As many as may be are under way.", mend="Come again in a minute.") from error
        try:
            yield
        finally:
            places.release()

    @contextlib.asynccontextmanager
    async def in_time(self, size: int = 0) -> AsyncIterator[None]:
        """Time for an answer, with more of it for `size` bytes. Raises Unavailable `answer-late`."""
        seconds = self._settings.answer_seconds + size / _BYTES_A_SECOND
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise Unavailable(
                "answer-late", f"The node had no answer within {seconds:.0f} s.", mend="Come again in a minute."
            ) from error
