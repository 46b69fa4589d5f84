"""The operator's hand on deliveries that ended: queued anew with a fresh lifetime, or offered once more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Final

from hub.settings_exchange import LifetimeSettings
from hub.store import agencies, audit_log, deliveries, fanouts, mailboxes, messages
from hub.store.audit_log import AuditEntry
from hub.store.deliveries import Delivery, DeliveryState
from hub.store.mailboxes import Offer
from hub.store.messages import KnownMessage
from hub.store.metadata import Transaction
from hub.usecases.delivery_listing import DEAD
from hub.usecases.naming import message_named
from hub.usecases.retention import payload_purged
from runtime.clock import Clock
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.directory import EntryStatus
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected
from schemas.message import Priority

_ENDED: Final = frozenset(DEAD)

#: Deliveries that are offered in one transaction.
_TOGETHER: Final = 200


@dataclass(frozen=True, slots=True)
class Redelivered:
    """Which deliveries of a message were queued anew, and which delivered ones are offered once more."""

    message_id: Sha256Hex
    queued: tuple[str, ...]
    offered_again: tuple[str, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Order:
    """What an operator ordered: the deliveries as they stood then, each with the connection that it goes to now."""

    message: KnownMessage
    weight: int
    expires_at: datetime
    taken: Sequence[Delivery]


class Redelivery:
    """Offers messages anew. The balance holds: what had ended is pending again, what is delivered stays so."""

    def __init__(self, database: Database, clock: Clock, lifetimes: LifetimeSettings) -> None:
        self._database = database
        self._clock = clock
        self._lifetimes = lifetimes

    async def redeliver(
        self, name: str, code: AgencyCode | None, *, again: bool, reason: str | None, actor: str
    ) -> Redelivered:
        """Offer the message that `name` means anew: to the agency `code`, or to all whose deliveries ended.

        With `again` delivered ones are offered once more, too: for a node that lost what it had. Many are offered in
        several transactions; after a crash between them the same order offers the rest.

        Raises `message-unknown`, `message-ambiguous`, `recipient-foreign`, `nothing-to-redeliver`, `payload-purged`,
        `recipient-retired`.
        """
        order = await self._database.write(
            lambda transaction: self._order(transaction, name, code, again=again, reason=reason, actor=actor)
        )
        done: set[str] = set()
        for start in range(0, len(order.taken), _TOGETHER):
            part = order.taken[start : start + _TOGETHER]
            done |= await self._database.write(partial(self._offer, order=order, part=part))
        return Redelivered(
            order.message.message_id,
            tuple(each.recipient for each in order.taken if each.recipient in done and each.state in _ENDED),
            tuple(each.recipient for each in order.taken if each.recipient in done and each.state not in _ENDED),
            order.expires_at,
        )

    def _order(
        self,
        transaction: Transaction,
        name: str,
        code: AgencyCode | None,
        *,
        again: bool,
        reason: str | None,
        actor: str,
    ) -> _Order:
        """What is to be offered, each at the connection where it goes now; and the operator's word in the audit log."""
        now = self._clock()
        message = message_named(transaction, name)
        chosen = deliveries_of(transaction, message, code)
        wanted = {*_ENDED, DeliveryState.DELIVERED} if again else _ENDED
        taken = [each for each in chosen if each.state in wanted]
        if not taken:
            raise _nothing(chosen, "nothing-to-redeliver", "ended without being delivered", again=again)
        weight, purged_at = messages.payload_of(transaction, message.message)
        if purged_at is not None:
            raise payload_purged("message", purged_at)
        expires_at = now + self._lifetimes.of(Priority(message.priority))
        # What one connection gets is offered together, as far as it can be.
        served = sorted(self._served(transaction, taken), key=lambda each: (each.connection, each.recipient))
        detail = {
            "queued": [each.recipient for each in served if each.state in _ENDED],
            "offered_again": [each.recipient for each in served if each.state not in _ENDED],
            "reason": reason,
            "expires_at": expires_at.isoformat(),
        }
        audit_log.note(transaction, AuditEntry(now, actor, "delivery.redelivered", message.message_id, detail))
        return _Order(message, weight, expires_at, served)

    def _offer(self, transaction: Transaction, order: _Order, part: Sequence[Delivery]) -> set[str]:
        """Offer a part of what was ordered; gives the recipients. What has moved on meanwhile stays as it is."""
        now = self._clock()
        _, purged_at = messages.payload_of(transaction, order.message.message)
        if purged_at is not None:
            # Dropped since the order: there is nothing left to hand out.
            raise payload_purged("message", purged_at)
        found = deliveries.find(transaction, [(each.message, each.recipient) for each in part])
        here = [each for each in part if _is_as_ordered(found[each.message, each.recipient], each)]
        dead = [each for each in here if each.state in _ENDED]
        if dead:
            deliveries.requeue(transaction, dead, at=now)
        mailboxes.offer(
            transaction,
            [
                Offer(
                    connection=connection,
                    message=order.message.message,
                    codes=[each.recipient for each in ones],
                    lane=order.message.lane,
                    weight=order.weight,
                    expires_at=order.expires_at,
                )
                for connection, ones in groupby(here, key=lambda each: each.connection)
            ],
            at=now,
        )
        return {each.recipient for each in here}

    def _served(self, transaction: Transaction, taken: Sequence[Delivery]) -> list[Delivery]:
        """What ended goes to the connection that serves its recipient today; what is delivered to where it went."""
        known = agencies.resolve(transaction, [each.recipient for each in taken])
        found = []
        for each in taken:
            agency = known.get(each.recipient)
            if agency is not None and agency.status is EntryStatus.RETIRED:
                raise Rejected(
                    "recipient-retired",
                    f"{each.recipient} is retired: nobody fetches for it.",
                    mend="Name with --agency the recipients that are left.",
                )
            moves = agency is not None and each.state in _ENDED
            found.append(replace(each, connection=agency.connection) if agency is not None and moves else each)
        return found


def _is_as_ordered(found: Delivery, ordered: Delivery) -> bool:
    return (found.state, found.round) == (ordered.state, ordered.round)


def deliveries_of(transaction: Transaction, message: KnownMessage, code: AgencyCode | None) -> list[Delivery]:
    """The written deliveries of a message, those to one agency if `code` names one. Raises `recipient-foreign`."""
    every = deliveries.of_message(transaction, message.message)
    if code is None:
        return every
    agency = agencies.resolve(transaction, [code.value]).get(code.value)
    codes = {code.value, agency.code} if agency else {code.value}
    chosen = [each for each in every if each.recipient in codes]
    if not chosen and not codes.intersection(fanouts.recipients(transaction, message.message)):
        raise Rejected(
            "recipient-foreign",
            f"{code} is no recipient of the message {message.message_id}.",
            mend="`congvan hub trace` shows its recipients.",
        )
    return chosen


def _nothing(chosen: Collection[Delivery], code: str, wanted: str, *, again: bool) -> Rejected:
    states = sorted({each.state.value for each in chosen}) or [DeliveryState.QUEUED.value]
    delivered = DeliveryState.DELIVERED.value in states and not again
    return Rejected(
        code,
        f"No delivery of the message has {wanted}: they are {', '.join(states)}.",
        mend="--again offers a delivered one once more." if delivered else "`congvan hub trace` shows how each stands.",
    )
