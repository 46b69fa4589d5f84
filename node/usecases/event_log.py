"""The log of events, as adapters follow it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from adapters.sdk import NodeEvent
from node.store import events
from node.store.events import EventRow
from node.usecases.work import Work
from runtime.database import Database
from runtime.wakeups import Wakeups, wait_for_event

_PAGE: Final = 1000
#: Wake-ups may be lost: whoever waits looks again after so many seconds.
_LOOK_AGAIN: Final = 5.0
_LONGEST_WAIT: Final = 300.0


class EventLog:
    """Reads events, and waits for new ones."""

    def __init__(self, database: Database, wakeups: Wakeups) -> None:
        self._database = database
        self._wakeups = wakeups

    async def after(self, number: int, *, limit: int, wait_seconds: float) -> tuple[NodeEvent, ...]:
        """See `adapters.sdk.NodeApi.events`."""
        now = asyncio.get_running_loop().time
        ends_at = now() + min(wait_seconds, _LONGEST_WAIT)
        look = partial(events.after, number=number, limit=min(limit, _PAGE))
        with self._wakeups.listen(Work.EVENTS) as woken:
            while True:
                rows = await self._database.read(look)
                left = ends_at - now()
                if rows or left <= 0:
                    return tuple(map(_event, rows))
                await wait_for_event(woken, min(left, _LOOK_AGAIN))

    async def last(self) -> int:
        """The number of the newest event; 0 before the first."""
        return await self._database.read(events.last)


def _event(row: EventRow) -> NodeEvent:
    facts = row.message
    return NodeEvent(
        number=row.number,
        at=row.at,
        name=row.name,
        message_id=facts.message_id,
        kind=facts.kind,
        sender=facts.sender,
        code=row.code,
        document_id=facts.document_id,
        status=facts.status,
        about=facts.about,
        text=row.text,
    )
