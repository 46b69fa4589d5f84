"""Fan-out: what an acceptance left to write is written batch by batch, the most urgent message first."""

from __future__ import annotations

from functools import partial

from hub.settings_exchange import DeliverySettings
from hub.store import fanouts
from hub.usecases.waking import wake_mailboxes
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups


class Fanout:
    """Writes deliveries. Each batch is a transaction of its own: after a crash it goes on where it stood."""

    def __init__(self, database: Database, wakeups: Wakeups, *, clock: Clock, settings: DeliverySettings) -> None:
        self._database = database
        self._wakeups = wakeups
        self._clock = clock
        self._batch = settings.batch

    async def step(self) -> bool:
        """Write one batch, and wake whom it concerns; False if nothing was left."""
        if not await self._database.read(fanouts.is_under_way):
            return False
        connections = await self._database.write(partial(fanouts.go_on, at=self._clock()))
        wake_mailboxes(self._wakeups, connections or ())
        return connections is not None

    async def step_of(self, message: int) -> bool:
        """Write one batch of `message`, and wake whom it concerns; False if nothing of it was left."""
        connections = await self._database.write(
            partial(deliveries.continue_fanout, batch=self._batch, at=self._clock(), message=message)
        )
        wake_mailboxes(self._wakeups, connections or ())
        return connections is not None

    async def more_urgent_than(self, message: int) -> int | None:
        """The most urgent message with deliveries left to write, if it is more urgent than `message`."""
        return await self._database.read(partial(deliveries.more_urgent_fanout, message=message))
