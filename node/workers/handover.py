"""The hand-over worker: brings the inbox to the agencies' software, the most urgent first.

Express documents have workers of their own, so that software which is slow with large ordinary ones cannot take all;
nor can one agency's software that hangs (`node.workers.fair_places`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import timedelta
from functools import partial
from itertools import chain
from random import Random
from typing import Final

from node.settings_exchange import HandoverSettings
from node.store import handovers
from node.store.handovers import ReadyHandover
from node.store.metadata import Transaction
from node.store.records import Trouble
from node.store.troubles import trouble_of
from node.usecases.backoff import longest_rest, wait_after
from node.usecases.handover import Attempt, HandingOver, Opened
from node.usecases.handover_record import HandoverRecord
from node.usecases.lanes import EXPRESS_LANE, LANES
from node.usecases.work import Work
from node.workers.fair_places import FairPlaces
from node.workers.pool import Found
from node.workers.runs import RUN_SECONDS, Paces, Run, key_of, keys_of, runs_of
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.errors import Unavailable

_EXPRESS: Final = range(EXPRESS_LANE, EXPRESS_LANE + 1)
_ORDINARY: Final = range(EXPRESS_LANE + 1, LANES)

#: So many rows at most are looked at in passing.
_FEW: Final = 8

#: Seconds that software may take for a message without others having their turn: a whole run of these is short.
_BLOCKING: Final = 0.0003


class InboxQueue:
    """The hand-overs that are due, as a `node.workers.pool.WorkQueue`."""

    name = "handover"
    work = Work.HANDOVER

    def __init__(
        self,
        database: Database,
        handing_over: HandingOver,
        record: HandoverRecord,
        wakeups: Wakeups,
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
        self._paces = Paces()
        self._wakeups = wakeups
        self._clock = clock
        self._backoff = settings.backoff
        self._chance = chance
        self._bulk_bytes = settings.bulk_bytes
        self.parallel = settings.parallel
        self._hold = timedelta(seconds=settings.hold)
        self._longest_rest = longest_rest(settings.backoff)
        self.longest_rest = max(self._longest_rest, self._hold)

    async def look(self, limit: int, running: Collection[Run]) -> Found[Run]:
        """Those whose software answers come first: any number of others, which hang, may wait before them."""
        hanging = self._places.hanging
        full = {
            _EXPRESS: self._places.without_place(running, is_express=True),
            _ORDINARY: self._places.without_place(running, is_express=False),
        }
        now = self._clock()
        has_bulk_room = self._places.has_bulk_room(running)
        busy = keys_of(running)

        def seen(transaction: Transaction, most: int) -> tuple[Found[Run], bool]:
            rows: list[ReadyHandover] = []
            is_all = True
            for lanes, without_place in full.items():
                ready = partial(
                    handovers.ready,
                    transaction,
                    lanes=lanes,
                    limit=most,
                    bulk_bytes=self._bulk_bytes,
                    with_bulk=has_bulk_room or lanes is _EXPRESS,
                )
                found = [ready(besides=without_place | hanging)]
                if retried := hanging - without_place:
                    found.append(ready(of=retried))
                is_all = is_all and all(len(each) < most for each in found)
                rows += chain.from_iterable(found)
            runs = runs_of((row for row in rows if key_of(row) not in busy), self._paces)
            return Found(runs, handovers.next_due(transaction, now, hold=self._hold)), is_all

        # On an idle system a document waits for this look, and a few rows are found in passing; past those that have no
        # place it goes row by row.
        if has_bulk_room and not hanging and not any(full.values()):
            few, is_all = await self._database.glance(partial(seen, most=_FEW))
            if is_all:
                return few
        most = len(busy) + (limit - len(running)) * self._paces.longest
        many, _ = await self._database.read(partial(seen, most=most))
        return many

    async def wake_due(self) -> None:
        await self._database.write(
            partial(handovers.wake_due, now=self._clock(), longest=self._longest_rest, hold=self._hold)
        )

    async def recover(self) -> None:
        """Nothing here waits for the hub."""

    def key(self, row: Run) -> tuple[str, str]:
        return key_of(row.rows[0])

    def admits(self, row: Run, running: Collection[Run]) -> bool:
        return self._places.admits(row, running)

    async def put_off(self, row: Run, trouble: Trouble) -> None:
        now = self._clock()

        def rest(transaction: Transaction) -> None:
            for each in row.rows:
                due_at = now + timedelta(seconds=wait_after(each.attempts + 1, self._backoff, self._chance))
                handovers.put_off(transaction, each.message_id, each.code, trouble, at=now, due_at=due_at)

        await self._database.write(rest)

    async def do(self, row: Run) -> None:
        run = row
        try:
            messages = await self._handing_over.read(tuple(run.rows))
        except Exception as error:
            self._paces.one_by_one(run.code)
            if len(run.rows) > 1:
                # What is read together fails together: each is read by itself, and the one at fault rests.
                return
            if isinstance(error, Unavailable):
                await self.put_off(run, trouble_of(error))
            raise
        self._leave(run, keeping=len(messages))
        await self._hand_over(run, messages)

    async def _hand_over(self, run: Run, messages: Mapping[ReadyHandover, Opened]) -> None:
        """One after the other; what each came to is recorded while the next is handed over."""
        failed: dict[ReadyHandover, Exception] = {}
        async with asyncio.TaskGroup() as recording:
            async for attempt in self._attempts(run, messages, failed):
                recording.create_task(self._recorded(attempt, failed))
        if failed:
            run.rows[:] = failed
            raise next(iter(failed.values()))

    async def _attempts(
        self, run: Run, messages: Mapping[ReadyHandover, Opened], failed: dict[ReadyHandover, Exception]
    ) -> AsyncIterator[Attempt]:
        """What the software says to one message after the other, as long as there is time."""
        now = asyncio.get_running_loop().time
        ends_at = now() + RUN_SECONDS
        timer = asyncio.get_running_loop().call_at(ends_at, self._cut, run)
        seconds: list[float] = []
        try:
            for row in run.begin():
                began = now()
                try:
                    attempt = await self._handing_over.attempt(row, messages[row])
                except Exception as error:  # noqa: BLE001 - raised when the others are recorded
                    failed[row] = error
                    continue
                seconds.append(now() - began)
                self._places.note(row.code, timed_out=attempt.timed_out)
                yield attempt
                if seconds[-1] > _BLOCKING:
                    # Software that never waits lets nothing else run, the timer neither.
                    await asyncio.sleep(0)
        finally:
            timer.cancel()
        if seconds:
            self._paces.note(run.code, seconds)

    async def _recorded(self, attempt: Attempt, failed: dict[ReadyHandover, Exception]) -> None:
        try:
            await self._record.record(attempt)
        except Exception as error:  # noqa: BLE001 - its run raises it, when the others are recorded
            failed[attempt.row] = error

    def _cut(self, run: Run) -> None:
        """The software is not so fast: what it was not asked yet is for other workers."""
        self._paces.one_by_one(run.code)
        self._leave(run, keeping=run.begun)

    def _leave(self, run: Run, *, keeping: int) -> None:
        if run.leave(keeping):
            self._wakeups.wake_here(self.work)
