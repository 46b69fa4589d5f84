"""What hand-overs came to, entered into the record.

What several came to while the last commit was under way commits together, with one signature for an agency's receipts.
An outcome that cannot be recorded is kept and tried again, rather than handing the message over once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Final

import structlog

from adapters.sdk import Awaiting, DeliveryKey, Later, Refused
from node.settings_exchange import BackoffSettings
from node.store import awaiting, handovers
from node.store.handovers import ReadyHandover
from node.store.metadata import Transaction
from node.store.records import Trouble
from node.usecases.backoff import wait_after
from node.usecases.handover import Attempt
from node.usecases.handover_ending import Endings, log_attempts
from node.usecases.lanes import EXPRESS_LANE
from node.usecases.together import Together
from node.usecases.work import Work, wake_reporter
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.errors import Unavailable
from schemas.reasons import plain_reason

log = structlog.get_logger()

#: The code of what an adapter puts off, as lists name it.
_LATER: Final = "adapter-later"


class HandoverRecord:
    """Records attempts; what is recorded together costs one commit."""

    def __init__(
        self,
        database: Database,
        endings: Endings,
        wakeups: Wakeups,
        *,
        backoff: BackoffSettings,
        clock: Clock,
        chance: Random,
    ) -> None:
        self._database = database
        self._endings = endings
        self._wakeups = wakeups
        self._backoff = backoff
        self._clock = clock
        self._chance = chance
        self._express: Together[Attempt] = Together(self._record)
        self._ordinary: Together[Attempt] = Together(self._record)

    async def record(self, attempt: Attempt) -> None:
        """Durable when this returns."""
        # Until then its place is taken: that of an express document does not wait for the record of ordinary ones.
        await (self._express if attempt.row.lane == EXPRESS_LANE else self._ordinary)(attempt)

    async def _record(self, attempts: list[Attempt]) -> None:
        failures = 0
        while True:
            try:
                await self._enter_all(attempts)
                break
            except Unavailable as error:
                failures += 1
                log.error("handover.not-recorded", count=len(attempts), rule=error.code, reason=error.message)
                await asyncio.sleep(wait_after(failures, self._backoff, self._chance))
        # The workers of hand-overs look again by themselves when one of them is done.
        wake_reporter(self._wakeups, is_express=attempts[0].row.lane == EXPRESS_LANE)
        self._wakeups.wake(Work.EVENTS)
        if any(isinstance(attempt.outcome, Refused) for attempt in attempts):
            self._wakeups.wake(Work.SENDING)
        log_attempts(attempts)

    async def _enter_all(self, attempts: Sequence[Attempt]) -> None:
        now = self._clock()
        made = await asyncio.to_thread(self._endings.made, attempts, now)

        def enter(transaction: Transaction) -> None:
            ended = [attempt for attempt in attempts if not self._goes_on(transaction, attempt, now)]
            self._endings.enter(transaction, ended, made, now)

        await self._database.write(enter, urgent=attempts[0].row.lane == EXPRESS_LANE)

    def _goes_on(self, transaction: Transaction, attempt: Attempt, now: datetime) -> bool:
        """Whether the hand-over has not ended with this attempt; if so, when it goes on is entered."""
        row = attempt.row
        match attempt.outcome:
            case Later(reason, seconds):
                trouble = Trouble(code=attempt.guard_rule or _LATER, text=plain_reason(reason))
                longest = self._backoff.longest
                wait = min(seconds, longest) if seconds is not None else self._wait(row)
                due_at = now + timedelta(seconds=max(0.0, wait))
                handovers.put_off(
                    transaction, row.message_id, row.code, trouble, at=now, due_at=due_at, verdicts=attempt.verdicts
                )
                return True
            case Awaiting():
                awaiting.offer(
                    transaction,
                    DeliveryKey(row.message_id, row.code),
                    attempt.adapter,
                    at=now,
                    verdicts=attempt.verdicts,
                )
                return True
            case _:
                return False

    def _wait(self, row: ReadyHandover) -> float:
        return wait_after(row.attempts + 1, self._backoff, self._chance)
