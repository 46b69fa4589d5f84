"""The watch over connections: a node that ceases to fetch is told of once, and once when it is back.

That a connection fetches is noted in memory, and written down now and then: a poll never waits for a commit. Who is
silent stands in the database, so that neither a restart nor an equal hub process says it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from hub.store import watching
from hub.store.metadata import Transaction
from hub.usecases.alerts import Alert, AlertEvent, Alerts
from runtime.clock import Clock
from runtime.database import Database

#: A connection that goes on fetching is written down this often.
NOTE_EVERY: Final = timedelta(seconds=30)
#: Connections that are written down in one transaction: others wait for it.
_TOGETHER: Final = 200
#: Without a look for so long the hub was down: silence counts anew from the next look on.
GAP: Final = timedelta(minutes=2)


class Watch:
    """Watches the connections of a hub. Who hands out mail says so with `fetched`; `look` is called all the time."""

    def __init__(self, database: Database, alerts: Alerts, *, clock: Clock, silence: timedelta) -> None:
        self._database = database
        self._alerts = alerts
        self._clock = clock
        self._silence = silence
        self._fetched: dict[str, datetime] = {}
        self._noted: dict[str, datetime] = {}
        self._looked_at: datetime | None = None

    def fetched(self, connection: str) -> None:
        """`connection` fetches, or takes what is pushed to it, or waits for mail at this moment."""
        self._fetched[connection] = self._clock()

    async def look(self) -> None:
        """Write down who fetched, and tell who is silent and who is back."""
        now = self._clock()
        due = {
            connection: at
            for connection, at in self._fetched.items()
            if not _is_recent(self._noted.get(connection), at)
        }
        if not due and _is_recent(self._looked_at, now):
            return
        noting = list(due.items())
        for start in range(0, len(noting), _TOGETHER):
            part = dict(noting[start : start + _TOGETHER])
            self._alerts.tell(await self._database.write(partial(self._note, fetched=part, now=now)))
            self._noted |= part
            for connection, at in part.items():
                # Unless it has fetched again while this was written.
                if self._fetched[connection] == at:
                    del self._fetched[connection]
        # Only now, when all that is known of who fetched is written down.
        self._alerts.tell(await self._database.write(partial(self._judge, seen=dict(self._fetched), now=now)))
        self._looked_at = now

    def _note(self, transaction: Transaction, fetched: Mapping[str, datetime], now: datetime) -> list[Alert]:
        raised = []
        for connection, at in fetched.items():
            since = watching.note_fetch(transaction, connection, at=at)
            if since is not None:
                raised.append(
                    self._alerts.raise_in(transaction, AlertEvent.AGENCY_BACK, connection, at=now, since=since)
                )
        return raised

    def _judge(self, transaction: Transaction, seen: Mapping[str, datetime], now: datetime) -> list[Alert]:
        raised: list[Alert] = []
        if watching.look(transaction, at=now, gap=GAP) > now - self._silence:
            return raised
        for connection, since in watching.ceased(transaction, before=now - self._silence):
            # Its last fetch may have been too soon after the one before to be written down.
            last = max(since, seen.get(connection, since))
            if last <= now - self._silence and watching.mark_silent(transaction, connection, since=last):
                raised.append(
                    self._alerts.raise_in(transaction, AlertEvent.AGENCY_SILENT, connection, at=now, since=last)
                )
        return raised


def _is_recent(noted: datetime | None, now: datetime) -> bool:
    """Whether `noted` stands for `now` as well. A clock that went back makes nothing recent."""
    return noted is not None and timedelta(0) <= now - noted < NOTE_EVERY
