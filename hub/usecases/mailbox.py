"""Mailboxes: a node leases what waits for it, and waits itself when nothing does."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeAlias

from hub.settings_exchange import MailboxSettings
from hub.store import directory, mailbox_contents, mailboxes, marks
from hub.store.mailbox_contents import WaitingEnvelope, WaitingReceipt
from hub.store.mailboxes import Leased, LeaseTerms
from hub.store.marks import Marks
from hub.store.metadata import Transaction
from hub.usecases.lanes import EXPRESS_LANE
from hub.usecases.lookout import Lookout, Waiter
from hub.usecases.meters import Meters
from hub.usecases.places import Places
from hub.usecases.waking import mailbox_of
from hub.usecases.watch import Watch
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups

HandedOut: TypeAlias = WaitingEnvelope | WaitingReceipt

#: The directory's version, the connection's marks, and what entries hand over.
_Contents: TypeAlias = tuple[int, Marks, dict[int, HandedOut]]

#: What so many entries hand over is read in the transaction that leases them.
_FEW: Final = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """Leased entries by number, in the order to serve them in; none if the wait ended without any.

    The lease is `lease` for each of them, until `until`. `marks` are those of the connection.
    """

    lease: str
    until: datetime
    hub_time: datetime
    directory_version: int
    marks: Marks
    entries: dict[int, HandedOut]


class Mailbox:
    """Hands out what waits for connections. `stop` ends the waits when the hub is stopped."""

    def __init__(
        self,
        database: Database,
        wakeups: Wakeups,
        watch: Watch,
        meters: Meters,
        *,
        clock: Clock,
        settings: MailboxSettings,
        stop: asyncio.Event,
    ) -> None:
        self._database = database
        self._wakeups = wakeups
        self._watch = watch
        self._meters = meters
        self._clock = clock
        self._settings = settings
        self._stop = stop
        self._places = Places(settings.waiting, "requests to the mailbox")
        self._lookout = Lookout(self._waiting, seen=watch.fetched, every=settings.recheck_seconds)

    async def fetch(
        self,
        connection: str,
        *,
        wait: float,
        limit: int,
        express: bool = False,
        listening: Callable[[], bool] = lambda: True,
    ) -> Batch:
        """Lease up to `limit` entries; wait up to `wait` seconds for a first one, while the peer is `listening`.

        With a limit of 0 nothing is leased: the answer says how the store stands. `express`: entries of that lane only.

        Raises `too-many-requests` if too many requests of the connection wait.
        """
        now = asyncio.get_running_loop().time
        end = now() + min(wait, self._settings.wait_seconds)
        last_lane = EXPRESS_LANE if express else mailboxes.EVERY_LANE
        woken = False
        with (
            self._places.take(connection),
            self._wakeups.listen(mailbox_of(connection)) as event,
            self._lookout.waiting(waiter := Waiter(connection, event, listening)),
        ):
            while True:
                self._watch.fetched(connection)
                # Registered first, then looked: what comes from now on sets the event.
                # Mail that came is leased at once; whoever waits for express alone is mostly woken for other mail.
                is_sure = woken and not express
                if limit > 0 and (is_sure or await self._waits(connection, last_lane)) and listening():
                    leased = await self._lease(connection, limit, last_lane)
                    if leased.entries:
                        return leased
                left = end - now()
                if left <= 0 or self._stop.is_set() or not listening():
                    return await self._none(connection)
                woken = await self._lookout.wait(waiter, left)

    async def take(self, connection: str, *, limit: int) -> Batch:
        """Lease up to `limit` entries of what waits now; perhaps there are none."""
        if await self._waits(connection, mailboxes.EVERY_LANE):
            return await self._lease(connection, limit, mailboxes.EVERY_LANE)
        return await self._none(connection)

    async def renew(self, connection: str, entry: int, lease: str) -> None:
        """Begin the lease of an entry anew, if it is still this one."""
        until = self._clock() + timedelta(seconds=self._settings.lease_seconds)
        await self._database.write(
            partial(mailboxes.renew, connection=connection, entry=entry, token=lease, until=until)
        )

    async def _waits(self, connection: str, last_lane: int) -> bool:
        furthest = self._settings.furthest
        # No glance: what is leased, or put off, is passed over row by row.
        return await self._database.read(
            partial(mailboxes.waits, connection=connection, at=self._clock(), furthest=furthest, last_lane=last_lane)
        )

    async def _waiting(self, among: Collection[str]) -> Collection[str]:
        furthest = self._settings.furthest
        return await self._database.read(partial(mailboxes.waiting, among=among, at=self._clock(), furthest=furthest))

    async def _lease(self, connection: str, limit: int, last_lane: int) -> Batch:
        """Lease what waits. Of a few entries the same transaction reads what they hand over: one hop less on a
        document's way. Of many it would keep writers waiting."""
        terms = LeaseTerms(
            token=secrets.token_hex(16),
            at=self._clock(),
            length=timedelta(seconds=self._settings.lease_seconds),
            longest=timedelta(seconds=self._settings.longest_lease_seconds),
            furthest=self._settings.furthest,
            entries=max(1, min(limit, self._settings.entries)),
            weight=self._settings.answer_bytes,
            last_lane=last_lane,
        )
        # A lease that a power cut takes back harms nobody: its entries are offered again, as if it had lapsed.
        lease = partial(_leased, connection=connection, terms=terms)
        leased, contents = await self._database.write(lease, durable=False, urgent=last_lane == EXPRESS_LANE)
        self._meters.leases.inc(len(leased.entries))
        self._meters.lapses.inc(leased.lapsed)
        if contents is None:
            contents = await self._database.read(partial(_contents, connection=connection, leased=leased))
        return self._batch(terms.token, leased, contents)

    async def _none(self, connection: str) -> Batch:
        leased = Leased((), self._clock())
        contents = await self._database.glance(partial(_contents, connection=connection, leased=leased))
        return self._batch("", leased, contents)

    def _batch(self, lease: str, leased: Leased, contents: _Contents) -> Batch:
        return Batch(lease, leased.until, self._clock(), *contents)


def _leased(transaction: Transaction, connection: str, terms: LeaseTerms) -> tuple[Leased, _Contents | None]:
    leased = mailboxes.lease(transaction, connection, terms)
    return leased, _contents(transaction, connection, leased) if len(leased.entries) <= _FEW else None


def _contents(transaction: Transaction, connection: str, leased: Leased) -> _Contents:
    found: dict[int, HandedOut] = {}
    if leased.entries:
        found |= mailbox_contents.envelopes(transaction, leased.entries)
        if len(found) < len(leased.entries):
            found |= mailbox_contents.waiting_receipts(transaction, leased.entries)
    known = marks.of_connection(transaction, connection)
    return directory.directory_version(transaction), known, {entry: found[entry] for entry in leased.entries}
