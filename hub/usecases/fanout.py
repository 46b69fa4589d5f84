"""Fan-out: what an acceptance left to write is written batch by batch, the most urgent message first."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from hub.store import fanouts
from hub.usecases.waking import wake_mailboxes
from runtime.clock import Clock
from runtime.database import Database, DatabaseFailed
from runtime.wakeups import Wakeups
from schemas.errors import Unavailable

log = structlog.get_logger()

#: How long a message is left alone that cannot be fanned out.
_LEFT_ALONE: Final = timedelta(minutes=1)


class Fanout:
    """Writes deliveries. Each batch is a transaction of its own: after a crash it goes on where it stood."""

    def __init__(self, database: Database, wakeups: Wakeups, *, clock: Clock) -> None:
        self._database = database
        self._wakeups = wakeups
        self._clock = clock
        self._broken: dict[int, datetime] = {}

    async def step(self) -> bool:
        """Write one batch of the most urgent message, and wake whom it concerns; False if nothing was left.

        A message that cannot be fanned out is left alone for a while: the others do not wait for it.
        """
        now = self._clock()
        self._broken = {message: until for message, until in self._broken.items() if now < until <= now + _LEFT_ALONE}
        message = await self._database.read(partial(fanouts.next_message, but=list(self._broken)))
        if message is None:
            return False
        try:
            await self.step_of(message)
        except Exception as error:
            # What the database refuses it refuses for what the rows hold, most likely: others are not to wait for it.
            if isinstance(error, Unavailable) and not isinstance(error, DatabaseFailed):
                raise
            log.exception("fanout.broken", message=message)
            self._broken[message] = now + _LEFT_ALONE
        return True

    async def step_of(self, message: int) -> bool:
        """Write one batch of `message`, and wake whom it concerns; False if nothing of it was left."""
        connections = await self._database.write(partial(fanouts.go_on_with, message=message, at=self._clock()))
        wake_mailboxes(self._wakeups, connections or ())
        return connections is not None

    async def more_urgent_than(self, message: int) -> int | None:
        """The most urgent message with deliveries left to write, if it is more urgent than `message`."""
        return await self._database.read(partial(fanouts.more_urgent, message=message))
