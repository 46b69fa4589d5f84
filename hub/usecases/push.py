"""Push: what waits for a connection is posted to its node, leased as a fetch would lease it.

Nothing depends on it. A batch that did not come through is free again at once, to be fetched or pushed; outcomes come
as for what was fetched; an endpoint that fails is left alone by its breaker, which stands in the database.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Final, Protocol

import structlog

from hub.settings_exchange import PushSettings
from hub.store import mailboxes, pushing
from hub.store.metadata import Transaction
from hub.store.pushing import Breaker, BreakerState, Endpoint
from hub.usecases.alerts import Alert, AlertEvent, Alerts
from hub.usecases.breaker import BreakerTerms, after_failure, after_success
from hub.usecases.mailbox import Batch, Mailbox
from hub.usecases.mailbox_answer import encoded_answer
from hub.usecases.meters import Meters
from hub.usecases.waking import wake_mailboxes
from hub.usecases.watch import Watch
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.errors import Unavailable

log = structlog.get_logger()

#: A probe that ends with its process is given up so long after its timeout.
_MARGIN: Final = timedelta(seconds=30)
#: The wait after the first failure while the breaker is closed; doubled after each further one.
_PAUSE: Final = timedelta(seconds=1)
_LONGEST_PAUSE: Final = timedelta(seconds=30)
#: A node that is busy is left alone no longer than this, whatever it asks for.
_LONGEST_BUSY: Final = timedelta(minutes=5)


class Client(Protocol):
    """What pushes: `transport.push_client.PushClient`."""

    async def push(self, answer: bytes) -> None:
        """Post a batch; returns when the node has taken it, else raises Unavailable."""


@dataclass(frozen=True, slots=True)
class PushParts:
    """What every push stands on."""

    database: Database
    mailbox: Mailbox
    watch: Watch
    alerts: Alerts
    wakeups: Wakeups
    meters: Meters
    epoch: str
    settings: PushSettings
    clock: Clock
    chance: Random

    @property
    def terms(self) -> BreakerTerms:
        settings = self.settings
        return BreakerTerms(
            settings.failures,
            timedelta(seconds=settings.first_seconds),
            timedelta(seconds=settings.longest_seconds),
        )


class Push:
    """Pushes to one endpoint, one batch after the other."""

    def __init__(self, parts: PushParts, endpoint: Endpoint, client: Client) -> None:
        self._parts = parts
        self._connection = endpoint.connection
        self._client = client
        self._not_before: datetime | None = None
        self._pushed_at: datetime | None = None
        self._is_held = False

    @property
    def is_held(self) -> bool:
        """True if what the last step gave is a rest that the node needs, or its breaker: mail does not end it."""
        return self._is_held

    async def step(self) -> float:
        """Push one batch if there is one to push now; gives the seconds until the next step has anything to do."""
        now = self._parts.clock()
        self._is_held = True
        if self._not_before is not None and now < self._not_before <= now + _LONGEST_BUSY:
            return (self._not_before - now).total_seconds()
        row = await self._parts.database.read(partial(pushing.find, connection=self._connection))
        if row is None:
            return self._parts.settings.greeting_seconds
        if row.breaker.state is not BreakerState.CLOSED:
            probe_at = row.breaker.probe_at or now
            if now < probe_at <= now + self._furthest:
                return (probe_at - now).total_seconds()
            # A probe further away than any wait was put there by a clock that has been set back since: it is due.
            until = now + timedelta(seconds=self._parts.settings.timeout_seconds) + _MARGIN
            claim = partial(pushing.claim_probe, connection=self._connection, at=max(now, probe_at), until=until)
            if not await self._parts.database.write(claim):
                return self._parts.settings.first_seconds
            log.info("push.probes", connection=self._connection, openings=row.breaker.openings)
        batch = await self._parts.mailbox.take(self._connection, limit=self._parts.settings.entries)
        self._is_held = False
        left = self._until_greeting(now)
        if not batch.entries and left > 0 and row.breaker.state is BreakerState.CLOSED:
            return left
        await self._push(batch)
        return 0.0

    async def _push(self, batch: Batch) -> None:
        try:
            await self._client.push(await encoded_answer(batch, self._parts.epoch))
        except Unavailable as error:
            if error.code == "push-busy":
                await self._busy(batch, error)
            else:
                await self._failed(batch, error)
            return
        except asyncio.CancelledError:
            # The hub stops, and will not learn whether this came through: it is free for the next start at once.
            await self._parts.database.write(partial(self._give_back, batch=batch, at=self._parts.clock()))
            raise
        self._pushed_at = self._parts.clock()
        self._parts.watch.fetched(self._connection)
        self._parts.meters.pushes.labels("taken").inc()
        if batch.entries:
            log.info("push.taken", connection=self._connection, entries=len(batch.entries))
        await self._succeeded(batch, give_back=False)

    async def _busy(self, batch: Batch, error: Unavailable) -> None:
        """The node lives and has no room now: nothing that the breaker counts."""
        wait = min(timedelta(seconds=error.retry_after or 0.0), _LONGEST_BUSY)
        self._not_before = self._parts.clock() + max(wait, _PAUSE)
        self._parts.watch.fetched(self._connection)
        self._parts.meters.pushes.labels("busy").inc()
        log.info("push.busy", connection=self._connection, seconds=wait.total_seconds())
        await self._succeeded(batch, give_back=True)

    async def _failed(self, batch: Batch, error: Unavailable) -> None:
        now = self._parts.clock()
        self._parts.meters.pushes.labels("failed").inc()
        work = partial(self._enter_failure, batch=batch, at=now, chance=self._parts.chance.random(), error=error)
        after, raised = await self._parts.database.write(work)
        failures = after.failures if after else 1
        if after is None or after.state is BreakerState.CLOSED:
            self._not_before = now + min(_PAUSE * 2.0 ** min(failures - 1, 10), _LONGEST_PAUSE)
        log.warning(
            "push.failed", connection=self._connection, failures=failures, rule=error.code, reason=error.message
        )
        self._parts.alerts.tell(raised)
        # Whoever waits in a poll may have what could not be pushed.
        wake_mailboxes(self._parts.wakeups, [self._connection])

    async def _succeeded(self, batch: Batch, *, give_back: bool) -> None:
        """Close the breaker if it is not closed, and forget failures; mostly nothing is to be written."""
        now = self._parts.clock()
        row = await self._parts.database.read(partial(pushing.find, connection=self._connection))
        stands_well = row is None or (row.breaker.state is BreakerState.CLOSED and not row.breaker.failures)
        if not give_back and stands_well:
            return
        work = partial(self._enter_success, batch=batch, at=now, give_back=give_back)
        self._parts.alerts.tell(await self._parts.database.write(work))

    def _enter_failure(
        self, transaction: Transaction, batch: Batch, at: datetime, chance: float, error: Unavailable
    ) -> tuple[Breaker | None, list[Alert]]:
        """Give the entries back and count the failure; gives the breaker as it is now, and the alert of an opening."""
        self._give_back(transaction, batch, at)
        row = pushing.find(transaction, self._connection, for_change=True)
        if row is None:
            return None, []
        after = after_failure(
            row.breaker, self._parts.terms, at=at, chance=chance, error=f"{error.code}: {error.message}"
        )
        pushing.put_breaker(transaction, self._connection, after)
        opens = row.breaker.state is BreakerState.CLOSED and after.state is BreakerState.OPEN
        return after, self._alert(transaction, AlertEvent.PUSH_OPENED, at, at, error.message) if opens else []

    def _enter_success(self, transaction: Transaction, batch: Batch, at: datetime, *, give_back: bool) -> list[Alert]:
        """Close the breaker; gives the alert of it."""
        if give_back:
            self._give_back(transaction, batch, at)
        row = pushing.find(transaction, self._connection, for_change=True)
        if row is None:
            return []
        pushing.put_breaker(transaction, self._connection, after_success(row.breaker, at=at))
        if row.breaker.state is BreakerState.CLOSED:
            return []
        return self._alert(transaction, AlertEvent.PUSH_CLOSED, at, row.breaker.changed_at, None)

    def _give_back(self, transaction: Transaction, batch: Batch, at: datetime) -> None:
        mailboxes.give_back(transaction, self._connection, list(batch.entries), batch.lease, at=at)

    def _alert(
        self, transaction: Transaction, event: AlertEvent, at: datetime, since: datetime, reason: str | None
    ) -> list[Alert]:
        return [self._parts.alerts.raise_in(transaction, event, self._connection, at=at, since=since, reason=reason)]

    @property
    def _furthest(self) -> timedelta:
        """No wait of a breaker is longer."""
        settings = self._parts.settings
        return timedelta(seconds=max(settings.longest_seconds * 1.2, settings.timeout_seconds)) + _MARGIN

    def _until_greeting(self, now: datetime) -> float:
        """Seconds until the node is to hear of the hub again, whether or not anything waits."""
        if self._pushed_at is None or self._pushed_at > now:
            return 0.0
        return self._parts.settings.greeting_seconds - (now - self._pushed_at).total_seconds()
