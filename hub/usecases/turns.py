"""Turns at the disk: connections take them in rotation, so that none gets more for having more transfers.

A transfer takes a turn for each piece. A free turn goes to the connection that waits and had one longest ago, whether
it moves one attachment or twenty: until it comes, each other connection gets one at most, beside those being held.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TypeAlias

_Queue: TypeAlias = deque[asyncio.Future[None]]


class Turns:
    """Up to `at_once` turns at a time. Nobody waits while one is free."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: dict[str, _Queue] = {}
        #: The connections that had turns since somebody began to wait, the last one last.
        self._served: OrderedDict[str, None] = OrderedDict()

    @asynccontextmanager
    async def turn(self, connection: str) -> AsyncIterator[None]:
        """Hold a turn."""
        await self._take(connection)
        try:
            yield
        finally:
            self._pass_on()

    async def read(self, connection: str, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The pieces, each fetched in a turn; a reader that is slow to take one holds none."""
        async with aclosing(pieces):
            while True:
                async with self.turn(connection):
                    piece = await anext(pieces, None)
                if piece is None:
                    return
                yield piece

    async def written(self, connection: str, pieces: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
        """The pieces, each given in a turn that lasts until the next is asked for: while it is written."""
        async for piece in pieces:
            async with self.turn(connection):
                yield piece

    async def _take(self, connection: str) -> None:
        if self._free:
            self._free -= 1
            return
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(connection, deque()).append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                # The turn came in the same moment: it is the next one's.
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            connection = self._next()
            queue = self._waiting[connection]
            waiting = queue.popleft()
            if not queue:
                del self._waiting[connection]
            if not waiting.done():
                self._served[connection] = None
                self._served.move_to_end(connection)
                waiting.set_result(None)
                return
        self._free += 1
        self._served.clear()

    def _next(self) -> str:
        """Of the connections that wait, the one that was served longest ago, or not at all."""
        for connection in self._waiting:
            if connection not in self._served:
                return connection
        return next(connection for connection in self._served if connection in self._waiting)
