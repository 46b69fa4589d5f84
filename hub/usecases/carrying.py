"""Wake-ups between the processes of a hub: carried after the commit, through the broker, and lost without harm."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Final

from hub.store import work
from hub.usecases.meters import Meters
from hub.usecases.topics import topic_of
from hub.usecases.waking import FANOUT, PUSH, WORK, connection_of
from runtime.database import Database
from runtime.wakeups import Wakeups

#: Where wake-ups are announced.
WAKEUPS_EXCHANGE: Final = "congvan.wakeups"
#: What waits to be carried at most. Whoever is not woken looks by himself, seconds later.
_MOST: Final = 20_000
#: After so many seconds agencies are looked up anew: one may be served by another connection.
_FRESH: Final = 600.0
#: What is announced as work, or concerns one process alone.
_KEPT: Final = frozenset({FANOUT, PUSH, WORK})


class CarriedWakeups:
    """Takes wake-ups of this process to the others, each key once while it waits, and theirs to this one."""

    def __init__(self, wakeups: Wakeups, database: Database, meters: Meters) -> None:
        self._wakeups = wakeups
        self._database = database
        self._meters = meters
        self._waiting: dict[Hashable, None] = {}
        self._some = asyncio.Event()
        self._topics: dict[str, str] = {}
        self._forgotten_at = 0.0

    def carry(self, key: Hashable) -> None:
        """Take a key along; never waits."""
        if key in _KEPT:
            return
        if len(self._waiting) >= _MOST:
            self._meters.wakeups_carried.labels("dropped").inc()
            return
        self._waiting[key] = None
        self._some.set()

    def hear(self, body: bytes) -> None:
        """Wake whom a wake-up of another process is for; what is none is passed over."""
        try:
            told = json.loads(body)
        except ValueError:
            return
        key: Hashable = tuple(map(str, told)) if isinstance(told, list) else str(told)
        self._meters.wakeups_carried.labels("heard").inc()
        self._wakeups.wake_here(key)

    async def send(self, announce: Callable[[str, bytes], Awaitable[None]], *, wait: float) -> None:
        """Announce what was taken along, each by routing key and body; waits up to `wait` seconds for something.

        Raises Unavailable if the database does not say whom a wake-up is for.
        """
        try:
            async with asyncio.timeout(wait):
                await self._some.wait()
        except TimeoutError:
            return
        self._some.clear()
        waiting, self._waiting = self._waiting, {}
        for key in waiting:
            await announce(await self._topic(key), json.dumps(key).encode())
            self._meters.wakeups_carried.labels("sent").inc()

    async def _topic(self, key: Hashable) -> str:
        """The agency at the head of the connection that is woken; other keys stand below `hub`, which no agency is."""
        connection = connection_of(key)
        if connection is None:
            return f"hub.{key}"
        now = asyncio.get_running_loop().time()
        if now - self._forgotten_at > _FRESH:
            self._topics.clear()
            self._forgotten_at = now
        if connection not in self._topics:
            seat = await self._database.read(partial(work.seat_of, connection=connection))
            self._topics[connection] = topic_of(seat) if seat else "hub.mailbox"
        return self._topics[connection]
