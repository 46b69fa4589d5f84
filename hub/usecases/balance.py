"""The balance: accepted = delivered + refused + expired + cancelled + pending, in one snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hub.store import balances
from hub.store.deliveries import DeliveryState
from hub.store.metadata import Transaction
from runtime.database import Database


@dataclass(frozen=True, slots=True)
class Tally:
    """Deliveries: how many were accepted, and where they stand. `pending` waits, leased or not."""

    accepted: int
    delivered: int
    refused: int
    expired: int
    cancelled: int
    pending: int

    @property
    def balances(self) -> bool:
        return self.accepted == self.delivered + self.refused + self.expired + self.cancelled + self.pending


@dataclass(frozen=True, slots=True)
class Balance:
    """The deliveries of all, of each agency that sent, and of each that receives, by code.

    What was accepted from a sender is counted by what was acknowledged to it, not by its deliveries: a delivery that is
    missing shows. Of a recipient only deliveries can be counted.
    """

    overall: Tally
    sent: Mapping[str, Tally]
    received: Mapping[str, Tally]

    @property
    def balances(self) -> bool:
        return self.overall.balances and all(tally.balances for tally in self.sent.values())


async def balance_of(database: Database) -> Balance:
    """The balance of a hub, in one snapshot of its database."""
    return await database.read(balance_within)


def balance_within(transaction: Transaction) -> Balance:
    """The same as a part of the caller's transaction."""
    sent: dict[str, Counter[DeliveryState]] = {}
    received: dict[str, Counter[DeliveryState]] = {}
    _count(sent, balances.by_sender(transaction))
    _count(received, balances.by_recipient(transaction))
    for sender, recipient in balances.not_fanned_out(transaction):
        sent.setdefault(sender, Counter())[DeliveryState.QUEUED] += 1
        received.setdefault(recipient, Counter())[DeliveryState.QUEUED] += 1
    promised = balances.promised(transaction)
    return Balance(
        overall=tally(sum(promised.values()), sum(sent.values(), Counter())),
        sent={code: tally(promised.get(code, 0), sent.get(code, Counter())) for code in sorted({*promised, *sent})},
        received={code: tally(states.total(), states) for code, states in sorted(received.items())},
    )


def _count(counters: dict[str, Counter[DeliveryState]], counted: Iterable[tuple[str, DeliveryState, int]]) -> None:
    for code, state, count in counted:
        counters.setdefault(code, Counter())[state] += count


def tally(accepted: int, states: Counter[DeliveryState]) -> Tally:
    """The tally of deliveries in these states, of which `accepted` were acknowledged."""
    return Tally(
        accepted=accepted,
        delivered=states[DeliveryState.DELIVERED],
        refused=states[DeliveryState.REFUSED],
        expired=states[DeliveryState.EXPIRED],
        cancelled=states[DeliveryState.CANCELLED],
        pending=states[DeliveryState.QUEUED],
    )
