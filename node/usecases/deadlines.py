"""Deadlines: each document that is not finished is told of once when it comes near, and once when it is past.

What was told stands in the record, so that a restart tells nothing twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from node.store import deadlines
from node.store.states import DeadlineStage
from runtime.clock import Clock
from runtime.database import Database

log = structlog.get_logger()

#: Deadlines that one transaction notes: a node that comes back after months must not hold the others up.
_BATCH: Final = 200


def stage_at(due_at: datetime, now: datetime, near: timedelta) -> DeadlineStage:
    """Where a deadline stands now, told or not: ahead, near or past."""
    if due_at < now:
        return DeadlineStage.PAST
    return DeadlineStage.NEAR if due_at < now + near else DeadlineStage.AHEAD


class Deadlines:
    """Watches the deadlines of documents that came; `near` is how long before its deadline one is due soon."""

    def __init__(self, database: Database, *, near: timedelta, clock: Clock) -> None:
        self._database = database
        self._near = near
        self._clock = clock

    async def tell(self) -> int:
        """Log what has come near or is past, and note it; gives for how many."""
        number = 0
        while True:
            told = await self._database.write(partial(deadlines.tell, now=self._clock(), near=self._near, limit=_BATCH))
            for deadline in told:
                log.warning(
                    "document.overdue" if deadline.stage is DeadlineStage.PAST else "document.due-soon",
                    message=deadline.message_id,
                    recipient=str(deadline.code),
                    due_at=deadline.due_at,
                )
            number += len(told)
            if len(told) < _BATCH:
                return number
