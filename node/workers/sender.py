"""The sender: brings the outbox to the hub, the most urgent first.

Express documents have workers of their own, so that no number of large ordinary attachments can take all; and of those
for ordinary documents one is left to what is short.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from functools import partial
from random import Random
from typing import Final

from node.settings_exchange import SenderSettings
from node.store import sending_queue
from node.store.metadata import Transaction
from node.store.records import Trouble
from node.store.sending_queue import ReadyMessage
from node.usecases.backoff import longest_rest, wait_after
from node.usecases.hub_watch import HUB_TROUBLES
from node.usecases.lanes import EXPRESS_LANE, has_bulk_room, has_room
from node.usecases.sending import Sending
from node.usecases.shipping import LIGHT
from node.usecases.work import Work
from node.workers.pool import Found
from runtime.clock import Clock
from runtime.database import Database
from schemas.envelope import Sha256Hex
from transport.batches import MOST

#: So many light messages besides: while a request is answered, verified and noted, the next is full.
_TOGETHER: Final = 2 * MOST


class OutboxQueue:
    """The outbox, as a `node.workers.pool.WorkQueue`."""

    name = "sender"
    work = Work.SENDING

    def __init__(
        self, database: Database, sending: Sending, *, settings: SenderSettings, clock: Clock, chance: Random
    ) -> None:
        self._database = database
        self._backoff = settings.backoff
        self._chance = chance
        self._sending = sending
        self._express_reserve = settings.express_reserve
        self._bulk_bytes = settings.bulk_bytes
        self._clock = clock
        self._alone = settings.parallel
        self.parallel = settings.parallel + _TOGETHER
        self.longest_rest = longest_rest(settings.backoff)

    async def look(self, limit: int, running: Collection[ReadyMessage]) -> Found[ReadyMessage]:
        with_bulk = self._has_bulk_room(running)
        ready = partial(
            sending_queue.ready,
            limit=max(0, limit - len(running)),
            bulk_bytes=self._bulk_bytes,
            with_bulk=with_bulk,
            besides=[row.message_id for row in running],
        )

        def seen(transaction: Transaction) -> Found[ReadyMessage]:
            return Found(ready(transaction), sending_queue.next_due(transaction))

        # Past bulk the look goes row by row.
        return await (self._database.glance if with_bulk else self._database.read)(seen)

    async def wake_due(self) -> None:
        await self._database.write(partial(sending_queue.wake_rested, now=self._clock(), longest=self.longest_rest))

    async def recover(self) -> None:
        await self._database.write(partial(sending_queue.wake_troubled, codes=HUB_TROUBLES))

    def key(self, row: ReadyMessage) -> Sha256Hex:
        return row.message_id

    def admits(self, row: ReadyMessage, running: Collection[ReadyMessage]) -> bool:
        if not self._has_room(row, running, self.parallel):
            return False
        if row.size > LIGHT and not self._has_room(row, [each for each in running if each.size > LIGHT], self._alone):
            return False
        return not row.is_bulk or row.lane == EXPRESS_LANE or self._has_bulk_room(running)

    def _has_room(self, row: ReadyMessage, running: Collection[ReadyMessage], parallel: int) -> bool:
        lanes = (other.lane for other in running)
        return has_room(row.lane, lanes, parallel=parallel, reserve=self._express_reserve)

    def _has_bulk_room(self, running: Collection[ReadyMessage]) -> bool:
        return has_bulk_room(running, parallel=self._alone, reserve=self._express_reserve)

    async def put_off(self, row: ReadyMessage, trouble: Trouble) -> None:
        now = self._clock()
        due_at = now + timedelta(seconds=wait_after(row.attempts + 1, self._backoff, self._chance))
        await self._database.write(
            partial(sending_queue.put_off, message_id=row.message_id, trouble=trouble, at=now, due_at=due_at)
        )

    async def do(self, row: ReadyMessage) -> None:
        await self._sending.send(row)
