"""What stands where: deliveries for the operator, by state, agency and age."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from hub.store import agencies, delivery_listing, fanouts
from hub.store.deliveries import DeliveryState
from hub.store.delivery_listing import DeliveryQuestion, ListedDelivery
from hub.store.metadata import Transaction
from runtime.clock import Clock
from runtime.database import Database
from schemas.codes import AgencyCode


class AskedState(StrEnum):
    """The states of deliveries, and those that ended without one: a dead letter is refused, expired or cancelled."""

    QUEUED = "queued"
    LEASED = "leased"
    DELIVERED = "delivered"
    REFUSED = "refused"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    DEAD = "dead"


DEAD: Final = (DeliveryState.REFUSED, DeliveryState.EXPIRED, DeliveryState.CANCELLED)
_UNDELIVERED: Final = (DeliveryState.QUEUED, DeliveryState.LEASED, *DEAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What an operator looks for; all that is not delivered if `state` is None."""

    state: AskedState | None = None
    sender: AgencyCode | None = None
    recipient: AgencyCode | None = None
    older_than: timedelta | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Found:
    """What was found; `has_more` if the limit cut it, `fans_out` if some deliveries are still to be written."""

    deliveries: tuple[ListedDelivery, ...]
    has_more: bool
    fans_out: bool


async def search_deliveries(database: Database, search: Search, clock: Clock) -> Found:
    """The deliveries that `search` asks for, those first that stand so longest; of delivered ones the newest first."""

    def question(transaction: Transaction) -> Found:
        now = clock()
        before = None if search.older_than is None else now - search.older_than
        sender, recipient = (_today(transaction, code) for code in (search.sender, search.recipient))
        rows = [
            row
            for state in _states(search.state)
            for row in delivery_listing.find(
                transaction,
                DeliveryQuestion(state=state, sender=sender, recipient=recipient, before=before),
                at=now,
                limit=search.limit + 1,
            )
        ]
        if search.state is not AskedState.DELIVERED:
            rows.sort(key=lambda row: row.since)
        return Found(tuple(rows[: search.limit]), len(rows) > search.limit, fanouts.is_under_way(transaction))

    return await database.read(question)


def _states(asked: AskedState | None) -> tuple[DeliveryState, ...]:
    if asked is None:
        return _UNDELIVERED
    return DEAD if asked is AskedState.DEAD else (DeliveryState(asked),)


def _today(transaction: Transaction, code: AgencyCode | None) -> str | None:
    """The code of today of an agency named by any; a code that the directory does not know may stand in old records."""
    if code is None:
        return None
    agency = agencies.resolve(transaction, [code.value]).get(code.value)
    return agency.code if agency else code.value
