"""What a node reports, entered into the books: one request, one transaction.

A consignment counts from any lease: the document is durably at its recipient, whatever the hub thought meanwhile. It
supersedes an expiry or a cancellation. So does a handover receipt, which says more than a consignment does: from then
on the delivery is delivered, and its entry stays open until the consignment is receipted as well. A refusal and a
release need the lease that the entry was handed out with last: another instance of the node may be at work on it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

from hub.settings_exchange import ReleaseSettings
from hub.store import deliveries, mailboxes, receipts
from hub.store.deliveries import Delivery, DeliveryChange, DeliveryState
from hub.store.mailboxes import Entry, Release
from hub.store.messages import KnownMessage
from hub.store.metadata import Transaction
from hub.store.receipts import NewReceipt, ReceiptKey
from hub.usecases.forwarding import store_and_forward
from hub.usecases.receipt_checks import CheckedReceipt
from runtime.backoff import backoff
from schemas.errors import Rejected
from schemas.receipts import ReceiptEvent
from transport.wire import ItemResult, Outcome, OutcomeKind, OutcomeResult

_REASON_CHARACTERS: Final = 1000

_HANDOVERS: Final = frozenset({ReceiptEvent.CONTENT_HANDOVER, ReceiptEvent.CONTENT_HANDOVER_FAILURE})

_RECORDED: Final = ItemResult(result=OutcomeResult.RECORDED)
_REPEATED: Final = ItemResult(result=OutcomeResult.REPEATED)
_STALE: Final = ItemResult(result=OutcomeResult.STALE)
_UNKNOWN: Final = ItemResult(result=OutcomeResult.UNKNOWN)


@dataclass(frozen=True, slots=True)
class _Step:
    """What an outcome does to a delivery: by which receipt, from which states, to which."""

    event: ReceiptEvent
    before: frozenset[DeliveryState]
    after: DeliveryState


_STEPS: Final = {
    OutcomeKind.CONSIGNED: _Step(
        ReceiptEvent.CONTENT_CONSIGNMENT,
        frozenset({DeliveryState.QUEUED, DeliveryState.EXPIRED, DeliveryState.CANCELLED}),
        DeliveryState.DELIVERED,
    ),
    OutcomeKind.REFUSED: _Step(
        ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE, frozenset({DeliveryState.QUEUED}), DeliveryState.REFUSED
    ),
}


@dataclass(frozen=True, slots=True)
class CheckedOutcome:
    """An outcome with its receipts verified."""

    outcome: Outcome
    receipts: tuple[CheckedReceipt, ...]


@dataclass(frozen=True, slots=True)
class ReleaseTerms:
    """When a released entry is offered again: as the node asks, or after a backoff over its releases so far."""

    settings: ReleaseSettings
    chance: Random

    def wait(self, attempts: int, asked: float | None) -> timedelta:
        settings = self.settings
        if asked is not None:
            return timedelta(seconds=min(max(0.0, asked), settings.longest_seconds))
        seconds = backoff(
            attempts + 1,
            first=settings.first_seconds,
            longest=settings.longest_seconds,
            jitter=settings.jitter,
            chance=self.chance,
        )
        return timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Written:
    """What a report changed: the connections whose mailboxes got receipts, the states that deliveries came to, and the
    events of the receipts that are new."""

    senders: frozenset[str]
    states: tuple[DeliveryState, ...]
    events: tuple[ReceiptEvent, ...]


@dataclass(slots=True)
class Ledger:
    """The books of one connection, as they stand in a running transaction; `write` writes what was entered."""

    transaction: Transaction
    connection: str
    at: datetime
    releases: ReleaseTerms
    mark: int | None
    _entries: dict[int, Entry]
    _deliveries: dict[tuple[int, str], Delivery]
    _stored: set[ReceiptKey]
    _changes: dict[tuple[int, str], DeliveryChange] = field(default_factory=dict)
    _new: list[tuple[KnownMessage, NewReceipt]] = field(default_factory=list)
    _closed: list[int] = field(default_factory=list)
    _narrowed: dict[int, tuple[str, ...]] = field(default_factory=dict)
    _released: list[Release] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        transaction: Transaction,
        connection: str,
        outcomes: Sequence[CheckedOutcome],
        further: Sequence[CheckedReceipt],
        *,
        at: datetime,
        releases: ReleaseTerms,
        mark: int | None,
    ) -> Ledger:
        """Read all that the outcomes and the further receipts touch."""
        entries = mailboxes.find(transaction, connection, [each.outcome.entry for each in outcomes])
        keys = {(entry.message, code) for entry in entries.values() for code in entry.codes}
        told = [*further, *(receipt for each in outcomes for receipt in each.receipts)]
        keys |= {(receipt.message.message, receipt.recipient) for receipt in told if receipt.message}
        found = deliveries.find(transaction, keys)
        own = {key: delivery for key, delivery in found.items() if delivery.connection == connection}
        return cls(transaction, connection, at, releases, mark, entries, own, receipts.stored(transaction, keys))

    def enter(self, checked: CheckedOutcome) -> ItemResult:
        """Enter one outcome; what is answered is what becomes true with `write`."""
        entry = self._entries.get(checked.outcome.entry)
        if entry is None:
            return _UNKNOWN
        match checked.outcome.outcome:
            case OutcomeKind.RECEIVED:
                return self._receive(entry)
            case OutcomeKind.RELEASED:
                return self._release(entry, checked.outcome)
            case kind:
                return self._settle(entry, _STEPS[kind], checked)

    def enter_handover(self, receipt: CheckedReceipt) -> ItemResult:
        """Enter a receipt of what became of a message after its consignment."""
        event = receipt.verified.value.event
        if event not in _HANDOVERS:
            return refused(Rejected("receipt-event", f"{event} comes with the outcome of a mailbox entry."))
        delivery = self._deliveries.get((receipt.message.message, receipt.recipient)) if receipt.message else None
        if receipt.message is None or delivery is None:
            return _UNKNOWN
        # The node may have lost the order of its reports: its entry stays open, and brings the consignment's receipt.
        if delivery.state in _STEPS[OutcomeKind.CONSIGNED].before:
            self._change(delivery, DeliveryState.DELIVERED, None)
        return _RECORDED if self._store(receipt, receipt.message, delivery) else _REPEATED

    def write(self) -> Written:
        """Write what was entered."""
        deliveries.change(self.transaction, list(self._changes.values()), at=self.at)
        senders = store_and_forward(self.transaction, self._new, at=self.at)
        for entry, codes in self._narrowed.items():
            mailboxes.narrow(self.transaction, entry, codes, mark=self.mark)
        mailboxes.close(self.transaction, self._closed, at=self.at, mark=self.mark)
        mailboxes.release(self.transaction, self._released)
        return Written(
            senders,
            states=tuple(change.state for change in self._changes.values()),
            events=tuple(receipt.event for _, receipt in self._new),
        )

    def _receive(self, entry: Entry) -> ItemResult:
        if entry.receipt is None:
            return refused(Rejected("outcome-mismatch", "The entry hands over a message, not a receipt."))
        if not entry.open:
            return _REPEATED
        self._close(entry)
        return _RECORDED

    def _release(self, entry: Entry, outcome: Outcome) -> ItemResult:
        if not _is_held(entry, outcome):
            return _STALE
        again_at = self.at + self.releases.wait(entry.attempts, outcome.retry_after)
        self._released.append(Release(entry.entry, again_at, outcome.reason or None))
        self._entries[entry.entry] = replace(entry, lease=None, attempts=entry.attempts + 1)
        return _RECORDED

    def _settle(self, entry: Entry, step: _Step, checked: CheckedOutcome) -> ItemResult:
        if entry.receipt is not None:
            return refused(Rejected("outcome-mismatch", "The entry hands over a receipt, not a message."))
        if not checked.receipts:
            return refused(Rejected("receipts-missing", "The outcome brings no receipt."))
        told: list[tuple[CheckedReceipt, KnownMessage, Delivery]] = []
        moves = False
        for receipt in checked.receipts:
            delivery = self._deliveries.get((entry.message, receipt.recipient))
            if delivery is None or receipt.message is None or receipt.message.message != entry.message:
                return refused(Rejected("receipt-foreign", "The receipt is not of the message of this entry."))
            event = receipt.verified.value.event
            if event is not step.event:
                return refused(Rejected("receipt-event", f"{event} is no receipt of the outcome reported."))
            if delivery.state in step.before:
                moves = True
            elif delivery.state is not step.after:
                self._end_settled(entry, checked.outcome)
                return refused(Rejected("delivery-final", f"The delivery to {receipt.recipient} is {delivery.state}."))
            told.append((receipt, receipt.message, delivery))
        if moves and step.after is DeliveryState.REFUSED and not _is_held(entry, checked.outcome):
            return _STALE
        is_new = [self._tell(*each, step) for each in told]
        self._narrow(entry, {receipt.recipient for receipt, _, _ in told})
        return _RECORDED if any(is_new) else _REPEATED

    def _tell(self, receipt: CheckedReceipt, message: KnownMessage, delivery: Delivery, step: _Step) -> bool:
        """Enter what one receipt of an outcome attests; False if it is in the books already."""
        if delivery.state in step.before:
            reason = receipt.verified.value.reason
            why = f"{reason.code}: {reason.text}"[:_REASON_CHARACTERS] if reason else None
            self._change(delivery, step.after, why)
        return self._store(receipt, message, delivery)

    def _change(self, delivery: Delivery, state: DeliveryState, why: str | None) -> None:
        key = (delivery.message, delivery.recipient)
        self._changes[key] = DeliveryChange(*key, state, why)
        self._deliveries[key] = replace(delivery, state=state)

    def _store(self, receipt: CheckedReceipt, message: KnownMessage, delivery: Delivery) -> bool:
        """Keep a receipt and forward it; False if the event is receipted already."""
        key = ReceiptKey(message.message, receipt.recipient, receipt.verified.value.event, delivery.round)
        if key in self._stored:
            return False
        self._stored.add(key)
        self._new.append((message, NewReceipt(key.message, key.recipient, key.event, receipt.signed, key.round)))
        return True

    def _narrow(self, entry: Entry, told: Collection[str]) -> None:
        """Let an open entry end, or stay for those codes alone of which nothing was told."""
        left = tuple(code for code in entry.codes if code not in told)
        if entry.open and left:
            self._narrowed[entry.entry] = left
            self._entries[entry.entry] = replace(entry, codes=left)
        elif entry.open:
            self._close(entry)

    def _end_settled(self, entry: Entry, outcome: Outcome) -> None:
        """Offer no more what is settled for all its agencies, whatever its holder says of it now."""
        if _is_held(entry, outcome) and all(
            self._deliveries[entry.message, code].state is not DeliveryState.QUEUED for code in entry.codes
        ):
            self._close(entry)

    def _close(self, entry: Entry) -> None:
        self._closed.append(entry.entry)
        self._entries[entry.entry] = replace(entry, open=False, lease=None)


def refused(error: Rejected) -> ItemResult:
    """The answer to an item that breaks a rule."""
    return ItemResult(result=OutcomeResult.REFUSED, code=error.code, detail=error.message)


def _is_held(entry: Entry, outcome: Outcome) -> bool:
    return entry.open and entry.lease is not None and entry.lease == outcome.lease
