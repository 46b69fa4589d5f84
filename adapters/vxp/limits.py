"""What one request may cost: how often, how many at once, how long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
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
    """Lets requests pass, or says why not. `now` gives seconds of a clock that never goes back."""

    def __init__(self, settings: VxpSettings, now: Callable[[], float]) -> None:
        self._settings = settings
        self._now = now
        self._under_way = 0
        self._transfers = asyncio.Semaphore(settings.transfers)
        self._allowances: dict[str, _Allowance] = {}

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """One of the requests under way. Raises Unavailable `busy` if there are as many as may be."""
        if self._under_way >= self._settings.requests:
            raise Unavailable("busy", "As many requests as may be are under way.", mend="Come again in a second.")
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    def count(self, system_id: str) -> None:
        """Count a request of a system. Raises `too-many-requests`."""
        rate = self._settings.requests_per_second
        burst = max(rate * _WINDOW, 1.0)
        now = self._now()
        # Only verified names come here, so there are no more of them than systems.
        allowance = self._allowances.setdefault(system_id, _Allowance(burst, now))
        allowance.left = min(burst, allowance.left + (now - allowance.at) * rate)
        allowance.at = now
        if allowance.left < 1:
            raise Rejected(
                "too-many-requests",
                f"{system_id} makes more than {rate:g} requests a second.",
                mend="Come again in a second.",
            )
        allowance.left -= 1

    @contextlib.asynccontextmanager
    async def transfer(self) -> AsyncIterator[None]:
        """A place to copy a document in; waits for one, and raises Unavailable `busy` if none comes free in time."""
        try:
            async with asyncio.timeout(self._settings.answer_seconds):
                await self._transfers.acquire()
        except TimeoutError as error:
            raise Unavailable(
                "busy", "As many documents as may be are under way.", mend="Come again in a minute."
            ) from error
        try:
            yield
        finally:
            self._transfers.release()

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
