"""One look into the database for all who wait for mail in this process.

Who waits is woken when mail comes; only a lost wake-up is left to a look now and then. A look of each would be 5,000
snapshots a second for 10,000 nodes, which is more than a processor. So one of those who wait looks for all of them,
and when it leaves, another takes its place.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

from runtime.wakeups import wait_for_event

#: About how many mailboxes one snapshot looks: others wait for the thread, not for long.
_TOGETHER: Final = 500


@dataclass(eq=False, slots=True)
class Waiter:
    """A request that waits: whose, what wakes it, and whether its peer still `listens`.

    `is_called`: it was woken to look for all, and perhaps for no mail of its own.
    """

    connection: str
    event: asyncio.Event
    listens: Callable[[], bool]
    is_called: bool = False


class Lookout:
    """Looks every so many seconds for all waiters: `found` gives those of some connections for which something waits.

    `seen` is told of each connection whose request still waits.
    """

    def __init__(
        self,
        found: Callable[[Collection[str]], Awaitable[Collection[str]]],
        *,
        seen: Callable[[str], None],
        every: float,
    ) -> None:
        self._found = found
        self._seen = seen
        self._every = every
        self._waiters: dict[Waiter, None] = {}
        self._looker: Waiter | None = None
        self._looked_at = 0.0

    @contextlib.contextmanager
    def waiting(self, waiter: Waiter) -> Iterator[None]:
        """Count `waiter` among those who are looked for."""
        self._waiters[waiter] = None
        try:
            yield
        finally:
            del self._waiters[waiter]
            if self._looker is waiter:
                self._looker = next(iter(self._waiters), None)
                if self._looker is not None:
                    self._looker.is_called = True
                    self._looker.event.set()

    async def wait(self, waiter: Waiter, seconds: float) -> bool:
        """Wait until something may have come for `waiter`, or for `seconds`. True if it was woken for mail.

        It may look for all meanwhile: raises what `found` raises.
        """
        now = asyncio.get_running_loop().time
        if self._looker is None:
            # It has just looked for itself, and nobody else waits who was not looked for.
            self._looker, self._looked_at = waiter, now()
        if self._looker is not waiter:
            woken = await wait_for_event(waiter.event, seconds)
        else:
            due = self._looked_at + self._every - now()
            woken = due > 0 and await wait_for_event(waiter.event, min(seconds, due))
            if not woken and due <= seconds:
                await self._look()
        if waiter.is_called:
            waiter.is_called, woken = False, False
        return woken

    async def _look(self) -> None:
        self._looked_at = asyncio.get_running_loop().time()
        waiters = list(self._waiters)
        for start in range(0, len(waiters), _TOGETHER):
            part = waiters[start : start + _TOGETHER]
            found = await self._found({waiter.connection for waiter in part})
            for waiter in part:
                self._seen(waiter.connection)
                if waiter.connection in found or not waiter.listens():
                    waiter.event.set()
