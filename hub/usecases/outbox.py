"""The outbox: work is announced to the processes of the hub through the broker, and again when the broker lost it.

The row of a piece of work is written by the transaction that makes it necessary. Whatever happens to the broker, or to
the process that announces, the row stays until the work is done; and what is to be done the exchange's own tables know.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

import structlog

from hub.settings_exchange import ExchangeSettings
from hub.store import messages, work
from hub.store.metadata import Transaction
from hub.store.work import Work, WorkKind
from hub.usecases.alerts import Alert, AlertEvent, Alerts
from hub.usecases.meters import Meters
from hub.usecases.topics import topic_of
from runtime.clock import Clock
from runtime.database import Database

log = structlog.get_logger()

#: The exchange and the queue of each kind of work.
WORK_EXCHANGES: Final = {WorkKind.FANOUT: "congvan.fanout", WorkKind.PUSH: "congvan.push"}
#: Pieces of work that are announced together.
_TOGETHER: Final = 100
#: What a process has claimed and not announced in this time, it never will.
_CLAIM: Final = timedelta(seconds=60)


class Link(Protocol):
    """What announces: `runtime.broker.Broker`."""

    @property
    def is_working(self) -> bool: ...

    async def publish(self, exchange: str, topic: str, body: bytes) -> None:
        """Returns when the broker has the message; raises Unavailable."""

    async def waiting(self, queue: str) -> int:
        """How many messages wait in a queue; raises Unavailable."""


@dataclass(frozen=True, slots=True)
class WorkTerms:
    """When announced work counts as lost: `quiet` after the last sign of anybody, if the broker holds none.

    What was set aside is tried again after `dead`. What failed is offered again after `pause` seconds, doubled with
    each time. Every `look` seconds a process looks whether anything was forgotten or lost.
    """

    quiet: timedelta = timedelta(seconds=15)
    dead: timedelta = timedelta(hours=1)
    pause: float = 0.5
    look: float = 5.0


@dataclass(frozen=True, slots=True)
class _Survey:
    """What a look found: work that is done, pushes that have mail, and whether rows are missing or too many."""

    done: list[Work]
    hurried: list[str]
    is_out_of_line: bool


class Outbox:
    """Announces work, and sees to it that none is forgotten."""

    def __init__(
        self,
        database: Database,
        link: Link,
        alerts: Alerts,
        meters: Meters,
        *,
        clock: Clock,
        settings: ExchangeSettings,
        terms: WorkTerms,
    ) -> None:
        self._database = database
        self._link = link
        self._alerts = alerts
        self._meters = meters
        self._clock = clock
        self._furthest = settings.mailbox.furthest
        # A push rests no longer than its breaker, or a node that asks for time, has it rest.
        push = settings.push
        self._longest_rest = timedelta(seconds=max(push.longest_seconds * 1.2, push.greeting_seconds, 300.0) + 60.0)
        self._terms = terms

    async def announce_due(self) -> bool:
        """Announce what is due; False if nothing is. Raises Unavailable if the broker takes it not: it stays due."""
        now = self._clock()
        due = await self._database.read(work.next_due)
        if due is None or due > now:
            return False
        claimed = await self._database.write(partial(work.claim_due, at=now, until=now + _CLAIM, most=_TOGETHER))
        outcomes = await asyncio.gather(*(self._publish(each) for each in claimed), return_exceptions=True)
        taken = [each for each, outcome in zip(claimed, outcomes, strict=True) if outcome is None]
        left = [each.work for each, outcome in zip(claimed, outcomes, strict=True) if outcome is not None]
        now = self._clock()
        if taken:
            await self._database.write(partial(work.published, numbers=[each.work for each in taken], at=now))
            for each in taken:
                self._meters.work_announced.labels(each.kind).inc()
        if left:
            await self._database.write(partial(work.announce_again, numbers=left, at=now))
            raise next(outcome for outcome in outcomes if outcome is not None)
        return bool(claimed)

    async def _publish(self, piece: Work) -> None:
        await self._link.publish(WORK_EXCHANGES[piece.kind], topic_of(piece.code), hint_of(piece))

    async def look(self) -> None:
        """Bring the rows in line with what there is to do, hurry pushes that have mail, and end what is done."""
        now = self._clock()
        survey = await self._database.read(partial(self._survey, at=now))
        if survey.done or survey.hurried or survey.is_out_of_line:
            self._alerts.tell(await self._database.write(partial(self._settle, survey=survey, at=now)))

    async def refill(self, *, linked: bool = False) -> None:
        """Announce again what the broker has lost: if a queue is empty, all of its work that nobody gives a sign of.

        `linked`: the broker was away until now, and no sign counts.
        """
        now = self._clock()
        before = now if linked else now - self._terms.quiet
        for kind, queue in WORK_EXCHANGES.items():
            question = partial(work.lost, kind=kind, before=before, dead_before=now - self._terms.dead)
            found = await self._database.read(question)
            if found and await self._link.waiting(queue) == 0:
                await self._database.write(partial(work.announce_again, numbers=found, at=now))
                log.info("work.refilled", kind=kind, pieces=len(found))

    async def hurry(self, connection: str) -> bool:
        """Mail came for a connection that is pushed to: announce that now; False if it is announced already."""
        now = self._clock()
        idle = await self._database.read(partial(work.idle_pushes, at=now))
        if not any(each.subject == connection for each in idle):
            return False
        return await self._database.write(partial(work.hurry, connections=[connection], at=now))

    def _survey(self, transaction: Transaction, at: datetime) -> _Survey:
        idle = work.idle_pushes(transaction, at=at)
        return _Survey(
            work.finished_fanouts(transaction),
            work.with_mail(transaction, idle, at=at, furthest=self._furthest),
            work.is_out_of_line(transaction, at=at, furthest=self._longest_rest),
        )

    def _settle(self, transaction: Transaction, survey: _Survey, at: datetime) -> list[Alert]:
        """Gives the alerts of work that was set aside and is done after all."""
        raised = []
        for each in survey.done:
            piece = work.find(transaction, each.kind, each.subject)
            if piece is not None:
                raised += work_alert(self._alerts, transaction, piece, AlertEvent.WORK_DONE, at=at)
                work.drop(transaction, piece.work)
        work.hurry(transaction, survey.hurried, at=at)
        work.adopt(transaction, at=at)
        work.bring_near(transaction, at=at, furthest=self._longest_rest)
        return raised


def hint_of(piece: Work) -> bytes:
    """What is said of a piece of work: which row to look at, and nothing else that could be wrong by then."""
    return json.dumps({"kind": piece.kind, "subject": piece.subject}).encode()


def work_alert(
    alerts: Alerts,
    transaction: Transaction,
    piece: Work,
    event: AlertEvent,
    *,
    at: datetime,
    reason: str | None = None,
) -> list[Alert]:
    """The alert that a piece of work was set aside, or, of one that was, that it is done; else none."""
    if event is AlertEvent.WORK_DONE and piece.dead_since is None:
        return []
    connection = piece.subject
    if piece.kind is WorkKind.FANOUT:
        message = int(piece.subject)
        found = messages.numbered(transaction, {message})
        connection = found[message].connection
    what = f"{piece.kind} of {piece.subject}"
    return [
        alerts.raise_in(
            transaction,
            event,
            connection,
            at=at,
            since=piece.dead_since or at,
            reason=f"{what}: {reason}" if reason else what,
        )
    ]
