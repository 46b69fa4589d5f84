"""A pool of workers over a queue in the database: some rows at once, each by one worker, in the queue's order.

When work fails for a reason that is not the row's, the pool pauses, longer each time; then one row probes, and when it
comes through the others follow. An ordinary document that probes may be a large one: an express one probes beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final, Generic, Protocol, TypeVar

import structlog

from node.settings_exchange import BackoffSettings
from node.store.records import Trouble
from node.usecases.backoff import wait_after
from node.usecases.lanes import EXPRESS_LANE
from node.usecases.work import Work
from node.workers.stopping import woken_by
from runtime.clock import Clock
from runtime.wakeups import Wakeups, wait_for_event
from schemas.errors import Unavailable

log = structlog.get_logger()


class InLane(Protocol):
    """Work that is more or less urgent."""

    @property
    def lane(self) -> int: ...


RowT = TypeVar("RowT", bound=InLane)

#: An exception may say anything, of any length.
_TROUBLE_CHARACTERS: Final = 500

#: A wake-up can be lost, so the queue is looked at again now and then (seconds).
_RECHECK: Final = 15.0


@dataclass(frozen=True, slots=True)
class Found(Generic[RowT]):
    """What a look at a queue found: rows that may be worked on, in order; when the next resting one is due."""

    rows: Sequence[RowT]
    next_due: datetime | None


class WorkQueue(Protocol[RowT]):
    """Where a pool takes its rows from, and what it does with one. `name` and `work` name it in logs and wake-ups.

    Up to `parallel` rows are worked on at once, and none rests for more than `longest_rest`.
    """

    name: str
    work: Work
    parallel: int
    longest_rest: timedelta

    async def look(self, limit: int, running: Collection[RowT]) -> Found[RowT]:
        """The first `limit` rows; those that it would not admit beside what is `running` may be left out."""

    async def wake_due(self) -> None:
        """Make ready what has rested long enough."""

    async def recover(self) -> None:
        """Make ready what rested for the hub, which is back."""

    def key(self, row: RowT) -> Hashable:
        """What tells rows apart."""

    def admits(self, row: RowT, running: Collection[RowT]) -> bool:
        """Whether a worker may take `row` while `running` are being worked on."""

    async def put_off(self, row: RowT, trouble: Trouble) -> None:
        """Let a row rest with which this program itself did not come to terms."""

    async def do(self, row: RowT) -> None:
        """Work on a row and note what became of it. Raises Unavailable if others would fail as well.

        The row rests then: one that can never come through must not be the probe each time.
        """


class Pool(Generic[RowT]):
    """Works on a queue until it is stopped; what is under way then is finished, or cancelled by the lifecycle.

    When the hub is back, work for it begins within `spread` seconds. Nothing is begun before `gate` is set.
    """

    def __init__(
        self,
        queue: WorkQueue[RowT],
        wakeups: Wakeups,
        *,
        clock: Clock,
        backoff: BackoffSettings,
        spread: float,
        chance: Random,
        gate: asyncio.Event | None = None,
    ) -> None:
        self._gate = gate or asyncio.Event()
        if gate is None:
            self._gate.set()
        self._queue = queue
        self._wakeups = wakeups
        self._clock = clock
        self._backoff = backoff
        self._spread = spread
        self._chance = chance
        self._running: dict[Hashable, RowT] = {}
        self._probes: dict[Hashable, RowT] = {}
        self._failures = 0
        self._paused_until = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        with self._wakeups.listen(self._queue.work) as work, self._wakeups.listen(Work.RECOVERY) as recovery:
            async with woken_by(stop, work), woken_by(self._gate, work), asyncio.TaskGroup() as group:
                recovering = group.create_task(self._recover(recovery, work))
                while not stop.is_set():
                    await self._start_work(group, work)
                recovering.cancel()

    async def _start_work(self, group: asyncio.TaskGroup, work: asyncio.Event) -> None:
        """Start what may be started, then wait until there is a reason to look again."""
        if not self._gate.is_set():
            await wait_for_event(work, _RECHECK)
            return
        pause = self._paused_until - asyncio.get_running_loop().time()
        if pause > 0:
            await wait_for_event(work, pause)
            return
        # Work that ends while the queue is looked at may still stand there as it was before: not to be begun again.
        ending = set(self._running)
        try:
            found = await self._queue.look(self._queue.parallel + len(self._running), list(self._running.values()))
            if found.next_due is not None and self._is_due(found.next_due):
                await self._queue.wake_due()
                return
        except Unavailable as error:
            self._fail(error)
            return
        began = refused = False
        for row in found.rows:
            key = self._queue.key(row)
            if key in self._running or key in ending:
                continue
            if not self._admits(row):
                refused = True
                continue
            began = True
            self._running[key] = row
            if self._failures:
                self._probes[key] = row
            group.create_task(self._do(key, row, work))
        if began and refused and not self._failures and len(self._running) < self._queue.parallel:
            # Beside what runs now, the queue may show others than those that it would not admit.
            return
        await wait_for_event(work, self._seconds_until(found.next_due))

    def _admits(self, row: RowT) -> bool:
        if self._failures and any(_is_express(probe) is _is_express(row) for probe in self._probes.values()):
            return False
        return len(self._running) < self._queue.parallel and self._queue.admits(row, self._running.values())

    async def _do(self, key: Hashable, row: RowT, work: asyncio.Event) -> None:
        try:
            await self._queue.do(row)
        except Unavailable as error:
            self._fail(error)
        except Exception as error:
            # A fault of ours: one message must neither end the daemon nor hold up those that it carries beside it.
            log.exception(f"{self._queue.name}.failed", row=str(row))
            await self._put_off(row, error)
        else:
            self._failures = 0
            self._paused_until = 0.0
        finally:
            del self._running[key]
            self._probes.pop(key, None)
            work.set()

    async def _put_off(self, row: RowT, error: Exception) -> None:
        trouble = Trouble(
            code="internal",
            text=f"This program failed on it: {type(error).__name__}: {error}"[:_TROUBLE_CHARACTERS],
            mend="Report it with the traceback from the log; it is tried again by itself.",
        )
        try:
            await self._queue.put_off(row, trouble)
        except Unavailable as unavailable:
            self._fail(unavailable)

    def _fail(self, error: Unavailable) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._paused_until:
            # It was begun before the pause: one request that fails takes dozens of messages along.
            return
        self._failures += 1
        seconds = wait_after(self._failures, self._backoff, self._chance, asked=error.retry_after)
        self._paused_until = now + seconds
        log.warning(
            f"{self._queue.name}.paused",
            seconds=round(seconds, 1),
            rule=error.code,
            reason=error.message,
        )

    async def _recover(self, recovery: asyncio.Event, work: asyncio.Event) -> None:
        while True:
            await recovery.wait()
            recovery.clear()
            # Every node of the hub may see it come back at the same moment.
            await asyncio.sleep(self._chance.uniform(0.0, self._spread))
            try:
                await self._queue.recover()
            except Unavailable as error:
                log.warning(f"{self._queue.name}.paused", rule=error.code, reason=error.message)
            self._failures, self._paused_until = 0, 0.0
            work.set()

    def _is_due(self, due_at: datetime) -> bool:
        # What is due later than anything can rest was put off before the clock was set back.
        return not timedelta(0) < due_at - self._clock() <= self._queue.longest_rest

    def _seconds_until(self, due_at: datetime | None) -> float:
        if due_at is None:
            return _RECHECK
        return min(_RECHECK, max(0.0, (due_at - self._clock()).total_seconds()))


def _is_express(row: InLane) -> bool:
    return row.lane == EXPRESS_LANE
