"""The workshop: what a hint from the broker is about is done, as far as the database says that it is still to do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from hub.store import mailboxes, work
from hub.store.metadata import Transaction
from hub.store.work import Work, WorkKind
from hub.usecases.alerts import Alert, AlertEvent, Alerts
from hub.usecases.fanout import Fanout
from hub.usecases.meters import Meters
from hub.usecases.outbox import WorkTerms, work_alert
from runtime.broker import Hint, Verdict
from runtime.clock import Clock
from runtime.database import Database, DatabaseFailed
from schemas.errors import Unavailable

log = structlog.get_logger()

#: A sign is given of work that goes on, so often.
_SIGN: Final = timedelta(seconds=3)
#: Seconds before a hint that failed is offered again, at most.
_LONGEST_PAUSE: Final = 30.0
#: An error is noted up to this length.
_ERROR_CHARACTERS: Final = 1000


@dataclass(frozen=True, slots=True)
class Rest:
    """How many seconds nothing is to be pushed; `held`: not even mail that comes."""

    seconds: float
    held: bool


class Workshop:
    """Does work that was announced. A hint may come twice, late, or for nothing: the database says what is left."""

    def __init__(
        self,
        database: Database,
        fanout: Fanout,
        push: Callable[[str], Awaitable[Rest]],
        alerts: Alerts,
        meters: Meters,
        *,
        clock: Clock,
        furthest: timedelta,
        terms: WorkTerms,
    ) -> None:
        """`push` empties the mailbox of a connection; `furthest` is how far an entry can be put off."""
        self._database = database
        self._fanout = fanout
        self._push = push
        self._alerts = alerts
        self._meters = meters
        self._clock = clock
        self._furthest = furthest
        self._pause = terms.pause

    async def work_on(self, kind: WorkKind, hint: Hint) -> Verdict:
        """Do what `hint` says, if it is still to do."""
        named = _named(hint)
        verdict = Verdict.DEAD if named is None else await self._try(*named, hint)
        self._meters.work_ended.labels(kind, verdict.value).inc()
        return verdict

    async def bury(self, hint: Hint) -> Verdict:
        """Tell the operator of a dead letter, once."""
        named = _named(hint)
        try:
            piece = None if named is None else await self._find(*named)
            if piece is None:
                # Foreign to us, or done by now.
                log.error("work.letter_dead", topic=hint.topic, mend="It lies in the queue congvan.dead.")
                return Verdict.DONE
            raised = await self._database.write(partial(self._set_aside, piece=piece, at=self._clock()))
        except Unavailable as error:
            log.warning("work.paused", error=str(error))
            await asyncio.sleep(_LONGEST_PAUSE)
            return Verdict.AGAIN
        self._alerts.tell(raised)
        return Verdict.DONE

    async def _try(self, kind: WorkKind, subject: str, hint: Hint) -> Verdict:
        piece: Work | None = None
        try:
            piece = await self._find(kind, subject)
            if piece is not None:
                await self._do(piece)
        except Exception as error:
            # What the database refuses it refuses each time, most likely: that counts.
            if isinstance(error, Unavailable) and not isinstance(error, DatabaseFailed):
                # Not the hint's fault, so it does not count: it is dropped, and announced again when things are better.
                log.warning("work.paused", kind=kind, subject=subject, error=str(error))
                await self._rest(hint)
                return Verdict.DONE
            log.exception("work.failed", kind=kind, subject=subject, redeliveries=hint.redeliveries)
            if piece is not None:
                await self._note(piece, error)
            await self._rest(hint)
            return Verdict.AGAIN
        return Verdict.DONE

    async def _find(self, kind: WorkKind, subject: str) -> Work | None:
        return await self._database.read(partial(work.find, kind=kind, subject=subject))

    async def _do(self, piece: Work) -> None:
        await self._sign(piece)
        match piece.kind:
            case WorkKind.FANOUT:
                await self._fan_out(piece)
            case WorkKind.PUSH:
                rest = await self._push(piece.subject)
                put_off = partial(self._put_off, piece=piece, rest=rest, at=self._clock())
                self._alerts.tell(await self._database.write(put_off))

    async def _fan_out(self, piece: Work) -> None:
        message = int(piece.subject)
        signed = self._clock()
        while True:
            await self._help_more_urgent(message)
            if not await self._fanout.step_of(message):
                break
            if self._clock() - signed >= _SIGN:
                signed = self._clock()
                await self._sign(piece)
        if piece.dead_since is None:
            await self._database.write(partial(work.drop, number=piece.work))

    async def _help_more_urgent(self, message: int) -> None:
        """Express never waits behind bulk, not even for a place among what is under way."""
        urgent = await self._fanout.more_urgent_than(message)
        if urgent is None:
            return
        try:
            await self._fanout.step_of(urgent)
        except Exception:
            # The fault of the other message: its own hint will say so.
            log.exception("work.help_failed", message=urgent)

    async def _sign(self, piece: Work) -> None:
        await self._database.write(partial(work.touch, number=piece.work, at=self._clock()))

    async def _note(self, piece: Work, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"[:_ERROR_CHARACTERS]
        try:
            await self._database.write(partial(work.touch, number=piece.work, at=self._clock(), error=text))
        except Unavailable as unavailable:
            log.warning("work.paused", kind=piece.kind, subject=piece.subject, error=str(unavailable))

    async def _rest(self, hint: Hint) -> None:
        await asyncio.sleep(min(self._pause * 2.0 ** min(hint.redeliveries, 10), _LONGEST_PAUSE))

    def _put_off(self, transaction: Transaction, piece: Work, rest: Rest, at: datetime) -> list[Alert]:
        """A push that came to its end is due again later; at once if mail came since."""
        waits = mailboxes.waits(transaction, piece.subject, at=at, furthest=self._furthest)
        due_at = at if waits and not rest.held else at + timedelta(seconds=rest.seconds)
        raised = work_alert(self._alerts, transaction, piece, AlertEvent.WORK_DONE, at=at)
        work.reschedule(transaction, piece.work, due_at=due_at, at=at, held=rest.held)
        return raised

    def _set_aside(self, transaction: Transaction, piece: Work, at: datetime) -> list[Alert]:
        reason = work.set_aside(transaction, piece.work, at=at)
        if reason is None:
            return []
        return work_alert(self._alerts, transaction, piece, AlertEvent.WORK_STUCK, at=at, reason=reason)


def _named(hint: Hint) -> tuple[WorkKind, str] | None:
    """The work that a hint speaks of; None if it is no hint of ours."""
    try:
        told = json.loads(hint.body)
        kind, subject = WorkKind(told["kind"]), told["subject"]
    except (ValueError, TypeError, KeyError):
        return None
    # What no database could be asked for is no row's name.
    return (kind, subject) if isinstance(subject, str) and subject.isascii() and subject.isprintable() else None
