"""The hand-over worker: brings the inbox to the agencies' software, the most urgent first.

Express documents have workers of their own, so that software which is slow with large ordinary ones cannot take all;
nor can one agency's software that hangs (`node.workers.fair_places`).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from functools import partial
from random import Random
from typing import Final

from node.settings_exchange import HandoverSettings
from node.store import handovers
from node.store.handovers import ReadyHandover
from node.store.metadata import Transaction
from node.store.records import Trouble
from node.store.troubles import trouble_of
from node.usecases.backoff import longest_rest, wait_after
from node.usecases.handover import HandingOver
from node.usecases.handover_record import HandoverRecord
from node.usecases.lanes import EXPRESS_LANE, LANES
from node.usecases.work import Work
from node.workers.fair_places import FairPlaces
from node.workers.pool import Found
from runtime.clock import Clock
from runtime.database import Database
from schemas.errors import Unavailable

_EXPRESS: Final = range(EXPRESS_LANE, EXPRESS_LANE + 1)
_ORDINARY: Final = range(EXPRESS_LANE + 1, LANES)


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
        places: FairPlaces,
        settings: HandoverSettings,
        clock: Clock,
        chance: Random,
    ) -> None:
        self._database = database
        self._handing_over = handing_over
        self._record = record
        self._places = places
        self._clock = clock
        self._backoff = settings.backoff
        self._chance = chance
        self._bulk_bytes = settings.bulk_bytes
        self.parallel = settings.parallel
        self._hold = timedelta(seconds=settings.hold)
        self._longest_rest = longest_rest(settings.backoff)
        self.longest_rest = max(self._longest_rest, self._hold)

    async def look(self, limit: int, running: Collection[ReadyHandover]) -> Found[ReadyHandover]:
        """Those whose software answers come first: any number of others, which hang, may wait before them."""
        hanging = self._places.hanging
        full = {
            _EXPRESS: self._places.without_place(running, is_express=True),
            _ORDINARY: self._places.without_place(running, is_express=False),
        }
        now = self._clock()
        has_bulk_room = self._places.has_bulk_room(running)

        def seen(transaction: Transaction) -> Found[ReadyHandover]:
            rows: list[ReadyHandover] = []
            for lanes, without_place in full.items():
                ready = partial(
                    handovers.ready,
                    transaction,
                    lanes=lanes,
                    limit=limit,
                    bulk_bytes=self._bulk_bytes,
                    with_bulk=has_bulk_room or lanes is _EXPRESS,
                )
                rows += ready(besides=without_place | hanging)
                if retried := hanging - without_place:
                    rows += ready(of=retried)
            return Found(rows, handovers.next_due(transaction, now, hold=self._hold))

        return await self._database.read(seen)

    async def wake_due(self) -> None:
        await self._database.write(
            partial(handovers.wake_due, now=self._clock(), longest=self._longest_rest, hold=self._hold)
        )

    async def recover(self) -> None:
        """Nothing here waits for the hub."""

    def key(self, row: ReadyHandover) -> tuple[str, str]:
        return row.message_id, row.code.value

    def admits(self, row: ReadyHandover, running: Collection[ReadyHandover]) -> bool:
        return self._places.admits(row, running)

    async def put_off(self, row: ReadyHandover, trouble: Trouble) -> None:
        now = self._clock()
        due_at = now + timedelta(seconds=wait_after(row.attempts + 1, self._backoff, self._chance))
        await self._database.write(
            partial(handovers.put_off, message_id=row.message_id, code=row.code, trouble=trouble, at=now, due_at=due_at)
        )

    async def do(self, row: ReadyHandover) -> None:
        try:
            attempt = await self._handing_over.attempt(row)
        except Unavailable as error:
            await self.put_off(row, trouble_of(error))
            raise
        self._places.note(row.code, timed_out=attempt.timed_out)
        await self._record.record(attempt)
