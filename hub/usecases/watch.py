"""The watch over connections: a node that ceases to fetch is told of once, and once when it is back.

That a connection fetches is noted in memory, and written down now and then: a poll never waits for a commit. Who is
silent stands in the database, so that neither a restart nor an equal hub process says it again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from hub.store import watching
from hub.store.metadata import Transaction
from hub.usecases.alerts import Alert, AlertEvent, Alerts, Standing, standing_of
from runtime.clock import Clock
from runtime.database import Database

#: A connection that goes on fetching is written down this often.
NOTE_EVERY: Final = timedelta(seconds=30)
#: Connections that are written down in one transaction, and of which alerts are raised in one: others wait for it.
_TOGETHER: Final = 200
_ALERTS: Final = 50
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
            standings = await self._database.read(partial(_silent_standings, part))
            noted = partial(self._note, fetched=part, standings=standings, now=now)
            self._alerts.tell(await self._database.write(noted))
            self._noted |= part
            for connection, at in part.items():
                # Unless it has fetched again while this was written.
                if self._fetched[connection] == at:
                    del self._fetched[connection]
        # Only now, when all that is known of who fetched is written down.
        if await self._database.write(partial(watching.look, at=now, gap=GAP)) <= now - self._silence:
            before = now - self._silence
            ceased = await self._database.read(partial(watching.ceased, before=before))
            for start in range(0, len(ceased), _ALERTS):
                await self._miss(ceased[start : start + _ALERTS], before, now)
        self._looked_at = now

    async def _miss(self, ceased: Sequence[tuple[str, datetime]], before: datetime, now: datetime) -> None:
        """Tell of those that did not fetch since `before`: some at a time, for all may cease at once."""
        # Its last fetch may have been too soon after the one before to be written down, or is just now.
        last = {connection: max(since, self._fetched.get(connection, since)) for connection, since in ceased}
        silent = {connection: since for connection, since in last.items() if since <= before}
        # What waits for each is counted before anything is written: no writer waits for that.
        standings = await self._database.read(partial(_standings, silent))
        self._alerts.tell(await self._database.write(partial(self._mark, silent=silent, standings=standings, now=now)))

    def _mark(
        self,
        transaction: Transaction,
        silent: Mapping[str, datetime],
        standings: Mapping[str, Standing],
        now: datetime,
    ) -> list[Alert]:
        return [
            self._alerts.raise_in(
                transaction,
                AlertEvent.AGENCY_SILENT,
                connection,
                at=now,
                since=since,
                standing=standings[connection],
            )
            for connection, since in silent.items()
            if watching.mark_silent(transaction, connection, since=since)
        ]

    def _note(
        self,
        transaction: Transaction,
        fetched: Mapping[str, datetime],
        standings: Mapping[str, Standing],
        now: datetime,
    ) -> list[Alert]:
        raised = []
        for connection, at in fetched.items():
            since = watching.note_fetch(transaction, connection, at=at)
            if since is not None:
                raised.append(
                    self._alerts.raise_in(
                        transaction,
                        AlertEvent.AGENCY_BACK,
                        connection,
                        at=now,
                        since=since,
                        standing=standings.get(connection),
                    )
                )
        return raised


def _standings(connections: Iterable[str], transaction: Transaction) -> dict[str, Standing]:
    return {connection: standing_of(transaction, connection) for connection in connections}


def _silent_standings(connections: Collection[str], transaction: Transaction) -> dict[str, Standing]:
    """How those of `connections` stand that are marked as silent."""
    rows = watching.rows(transaction, connections)
    return _standings([each for each, row in rows.items() if row.silent_since is not None], transaction)


def _is_recent(noted: datetime | None, now: datetime) -> bool:
    """Whether `noted` stands for `now` as well. A clock that went back makes nothing recent."""
    return noted is not None and timedelta(0) <= now - noted < NOTE_EVERY
