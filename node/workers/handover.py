"""The hand-over worker: brings the inbox to the agencies' software, the most urgent first.

Express documents have workers of their own, so that software which is slow with large ordinary ones cannot take all.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from functools import partial
from random import Random

from node.settings_exchange import HandoverSettings
from node.store import handovers
from node.store.handovers import ReadyHandover
from node.store.metadata import Transaction
from node.store.records import Trouble
from node.usecases.backoff import longest_rest, wait_after
from node.usecases.handover import HandingOver
from node.usecases.handover_record import HandoverRecord
from node.usecases.lanes import has_room
from node.usecases.work import Work
from node.workers.pool import Found
from runtime.clock import Clock
from runtime.database import Database


class InboxQueue:
    """The hand-overs that are due, as a `node.workers.pool.WorkQueue`."""

    name = "handover"
    work = Work.HANDOVER

    def __init__(
        self,
        database: Database,
        handing_over: HandingOver,
        record: HandoverRecord,
        *,
        settings: HandoverSettings,
        clock: Clock,
        chance: Random,
    ) -> None:
        self._database = database
        self._handing_over = handing_over
        self._record = record
        self._express_reserve = settings.express_reserve
        self._clock = clock
        self._backoff = settings.backoff
        self._chance = chance
        self.parallel = settings.parallel
        self.longest_rest = max(longest_rest(settings.backoff), timedelta(seconds=settings.hold))

    async def look(self, limit: int) -> Found[ReadyHandover]:
        def seen(transaction: Transaction) -> Found[ReadyHandover]:
            return Found(handovers.ready(transaction, limit=limit), handovers.next_due(transaction))

        return await self._database.read(seen)

    async def wake_due(self) -> None:
        await self._database.write(partial(handovers.wake_due, now=self._clock(), longest=self.longest_rest))

    async def recover(self) -> None:
        """Nothing here waits for the hub."""

    def key(self, row: ReadyHandover) -> tuple[str, str]:
        return row.message_id, row.code.value

    def admits(self, row: ReadyHandover, running: Collection[ReadyHandover]) -> bool:
        lanes = (other.lane for other in running)
        return has_room(row.lane, lanes, parallel=self.parallel, reserve=self._express_reserve)

    async def put_off(self, row: ReadyHandover, trouble: Trouble) -> None:
        now = self._clock()
        due_at = now + timedelta(seconds=wait_after(row.attempts + 1, self._backoff, self._chance))
        await self._database.write(
            partial(handovers.put_off, message_id=row.message_id, code=row.code, trouble=trouble, at=now, due_at=due_at)
        )

    async def do(self, row: ReadyHandover) -> None:
        await self._record.record(await self._handing_over.attempt(row))
