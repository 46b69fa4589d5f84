"""Messages that await software which fetches them itself: listed, locked, read, settled.

Settling is the hand-over: it is recorded in one transaction with its receipt, and status 02 where the software refused.
The same outcome said again changes nothing, so software may repeat what it is not sure to have said.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import structlog

from adapters.sdk import Accepted, Delivery, DeliveryKey, Lock, MessageKind, Never, Refused, Settlement, Waiting
from node.store import awaiting
from node.store.awaiting import AwaitingRow, Offer, Place
from node.store.handovers import ReadyHandover
from node.store.metadata import Transaction
from node.store.states import HandoverState
from node.store.verdicts import signatures_in
from node.usecases.guarding import with_signatures
from node.usecases.handover import Attempt, delivery_of, recorded
from node.usecases.handover_ending import Endings, log_attempts
from node.usecases.lanes import EXPRESS_LANE
from node.usecases.naming import delivery_unknown
from node.usecases.paging import number_in
from node.usecases.work import Work, wake_reporter
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.codes import AgencyCode
from schemas.errors import Rejected

log = structlog.get_logger()

_PAGE: Final = 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_STATES: Final = {
    Accepted: HandoverState.HANDED_OVER,
    Refused: HandoverState.REFUSED,
    Never: HandoverState.PARKED,
}


class AwaitingDeliveries:
    """What `adapters.sdk.NodeApi` says of waiting messages.

    Each call is for an adapter: for what was offered by `adapters`, itself and the one at whose desk it is, by name.
    """

    def __init__(self, database: Database, endings: Endings, wakeups: Wakeups, clock: Clock) -> None:
        self._database = database
        self._endings = endings
        self._wakeups = wakeups
        self._clock = clock

    async def page(
        self,
        adapters: Sequence[str],
        *,
        recipients: Collection[AgencyCode],
        kind: MessageKind | None,
        parked: bool,
        unlocked: bool,
        after: str,
        limit: int,
    ) -> tuple[Waiting, ...]:
        now = self._clock()
        most = min(limit, _PAGE)
        place = _place(after) if after else None

        def listed(transaction: Transaction) -> list[AwaitingRow]:
            # One adapter at a time: an index gives the order.
            rows = [
                row
                for adapter in adapters
                for row in awaiting.offered(
                    transaction,
                    adapter,
                    recipients=recipients,
                    kind=kind,
                    parked=parked,
                    unlocked_at=now if unlocked else None,
                    after=place,
                    limit=most,
                )
            ]
            return sorted(rows, key=_order)[:most]

        rows = await self._database.read(listed)
        return tuple(_waiting(row, is_locked=awaiting.is_locked(row.locked_until, now)) for row in rows)

    async def count(
        self, adapters: Sequence[str], *, recipients: Collection[AgencyCode], kind: MessageKind | None
    ) -> int:
        return await self._database.read(
            lambda transaction: sum(
                awaiting.count(transaction, adapter, recipients=recipients, kind=kind) for adapter in adapters
            )
        )

    async def lock(
        self, adapters: Sequence[str], keys: Sequence[DeliveryKey], *, seconds: float, renew: str | None
    ) -> Lock:
        now = self._clock()
        until = now + min(timedelta(seconds=seconds), awaiting.LONGEST_LOCK)
        token = renew or secrets.token_hex(16)
        take = partial(awaiting.lock, adapters=adapters, keys=keys, token=token, at=now, until=until)
        return Lock(token, tuple(await self._database.write(take)), until)

    async def unlock(self, keys: Sequence[DeliveryKey], *, lock: str) -> None:
        await self._database.write(partial(awaiting.unlock, keys=keys, token=lock))

    async def delivery(self, adapters: Sequence[str], key: DeliveryKey) -> Delivery | None:
        found = await self._database.read(partial(_found, adapters=adapters, key=key))
        if found is None:
            return None
        offer, row = found
        _, stored, missing = await self._database.read(partial(recorded, row=row))
        if stored is None:
            return None
        delivery = await asyncio.to_thread(delivery_of, stored, missing, row)
        return with_signatures(delivery, signatures_in(offer.verdicts))

    async def settle(self, adapters: Sequence[str], key: DeliveryKey, outcome: Settlement, *, lock: str | None) -> None:
        found = await self._database.read(partial(_found, adapters=adapters, key=key))
        if found is None:
            raise delivery_unknown(key)
        offer, row = found
        if not self._is_open(offer, key, outcome, lock):
            return
        described, stored, missing = await self._database.read(partial(recorded, row=row))
        delivery = await asyncio.to_thread(delivery_of, stored, missing, row) if stored else None
        attempt = Attempt(row, described, delivery, outcome, adapters[0])
        now = self._clock()
        ended = await asyncio.to_thread(self._endings.made, [attempt], now)

        def enter(transaction: Transaction) -> bool:
            offer = awaiting.offer_of(transaction, adapters, key)
            if offer is None:
                raise delivery_unknown(key)
            if not self._is_open(offer, key, outcome, lock):
                return False
            if offer.state is HandoverState.PARKED:
                awaiting.offer_again(transaction, key, at=now)
            self._endings.enter(transaction, [attempt], ended, now)
            return True

        if await self._database.write(enter):
            for work in (Work.SENDING, Work.HANDOVER, Work.EVENTS):
                self._wakeups.wake(work)
            wake_reporter(self._wakeups, is_express=row.lane == EXPRESS_LANE)
            log_attempts([attempt])

    def _is_open(self, offer: Offer, key: DeliveryKey, outcome: Settlement, lock: str | None) -> bool:
        """Whether `outcome` says something new. Raises Rejected: `delivery-settled`, `delivery-locked`."""
        if offer.state is _STATES[type(outcome)]:
            return False
        if not offer.state.is_waiting and offer.state is not HandoverState.PARKED:
            raise Rejected(
                "delivery-settled",
                f"The hand-over of {key.message_id} to {key.recipient} is {offer.state} already.",
                mend="Nothing can be taken back; ask the sender to send the document anew.",
            )
        if awaiting.is_locked(offer.locked_until, self._clock()) and offer.lock != lock:
            raise Rejected(
                "delivery-locked",
                f"Somebody else has locked the message {key.message_id} for {key.recipient}.",
                mend="Settle it with the token of the lock, or when the lock has lapsed.",
            )
        return True


def _found(transaction: Transaction, adapters: Sequence[str], key: DeliveryKey) -> tuple[Offer, ReadyHandover] | None:
    offer = awaiting.offer_of(transaction, adapters, key)
    if offer is None:
        return None
    return offer, ReadyHandover(key.message_id, key.recipient, offer.lane, offer.attempts)


def _order(row: AwaitingRow) -> tuple[int, datetime, int, str]:
    return row.place.lane, row.place.offered_at, row.place.sequence, row.place.code.value


def _place(cursor: str) -> Place:
    lane, offered, sequence, code = (*cursor.split(".", 3), "", "", "", "")[:4]
    offered_at = _EPOCH + number_in(offered) * _MICROSECOND
    return Place(number_in(lane), offered_at, number_in(sequence), AgencyCode(code))


def _cursor(place: Place) -> str:
    return f"{place.lane}.{(place.offered_at - _EPOCH) // _MICROSECOND}.{place.sequence}.{place.code}"


def _waiting(row: AwaitingRow, *, is_locked: bool) -> Waiting:
    facts = row.message
    return Waiting(
        key=DeliveryKey(facts.message_id, row.place.code),
        kind=facts.kind,
        sender=facts.sender,
        sender_name=facts.sender_name,
        document_id=facts.document_id,
        code=facts.code,
        subject=facts.subject,
        business=facts.business,
        status=facts.status,
        priority=facts.priority,
        about=facts.about,
        received_at=row.received_at,
        since=row.place.offered_at,
        locked_until=row.locked_until if is_locked else None,
        parked=row.trouble.text if row.trouble else None,
        cursor=_cursor(row.place),
    )
