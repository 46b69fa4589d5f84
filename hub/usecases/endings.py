"""The hub gives deliveries up: what is still queued ends, and its sender is told by a receipt of the hub."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from hub.store import deliveries, mailboxes, overdue
from hub.store.deliveries import DeliveryChange, DeliveryState
from hub.store.messages import KnownMessage
from hub.store.metadata import Transaction
from hub.store.receipts import NewReceipt
from hub.usecases.forwarding import store_and_forward
from hub.usecases.receipt_signer import ReceiptSigner
from hub.usecases.waking import wake_mailboxes
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.codes import AgencyCode
from schemas.receipts import Reason, Receipt, ReceiptEvent, SignedReceipt

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ending:
    """How deliveries end: their state from then on, the log's event, and the reason that their senders are given."""

    state: DeliveryState
    event: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Doomed:
    """A delivery that is to end, in the round that it was seen in, and the mailbox entry that would have handed it
    over."""

    entry: int
    message: KnownMessage
    recipient: str
    round: int

    @property
    def key(self) -> tuple[int, str]:
        return self.message.message, self.recipient


class Endings:
    """Ends deliveries in batches that the caller bounds: each is one transaction, and a few signatures before it."""

    def __init__(self, database: Database, signer: ReceiptSigner, wakeups: Wakeups, clock: Clock) -> None:
        self._database = database
        self._signer = signer
        self._wakeups = wakeups
        self._clock = clock

    async def end(self, doomed: Sequence[Doomed], ending: Ending) -> list[Doomed]:
        """End those of `doomed` that are still queued when it is written, and give them: an outcome may come first, or
        an operator who queues one anew.

        The entries hand over nothing for any of `doomed` any more, but for what is in another round now, and for what
        its node lost and is to get again.
        """
        now = self._clock()
        signed = await asyncio.gather(*(self._signer.sign(self._receipt(each, ending, now)) for each in doomed))
        ended, senders = await self._database.write(
            lambda transaction: _end(transaction, list(zip(doomed, signed, strict=True)), ending, now)
        )
        wake_mailboxes(self._wakeups, senders)
        for each in ended:
            log.warning(ending.event, message=each.message.message_id, recipient=each.recipient)
        return ended

    def _receipt(self, doomed: Doomed, ending: Ending, now: datetime) -> Receipt:
        return Receipt(
            receipt_id=secrets.token_hex(16),
            event=ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE,
            issuer=self._signer.issuer,
            message_id=doomed.message.message_id,
            sender=AgencyCode(doomed.message.from_code),
            recipient=AgencyCode(doomed.recipient),
            occurred_at=now,
            reason=ending.reason,
        )


def _end(
    transaction: Transaction, doomed: Sequence[tuple[Doomed, SignedReceipt]], ending: Ending, at: datetime
) -> tuple[list[Doomed], frozenset[str]]:
    """Write the end of what is queued; gives that, and who has mail now."""
    found = deliveries.find(transaction, [each.key for each, _ in doomed])
    meant = [(each, signed) for each, signed in doomed if found[each.key].round == each.round]
    ended = [(each, signed) for each, signed in meant if found[each.key].state is DeliveryState.QUEUED]
    deliveries.change(
        transaction, [DeliveryChange(*each.key, ending.state, ending.reason.text) for each, _ in ended], at=at
    )
    for entry, codes in _by_entry([each for each, _ in meant]).items():
        mailboxes.withdraw(transaction, entry, codes - overdue.wanted_again(transaction, entry), at=at)
    new = [
        (each.message, NewReceipt(*each.key, ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE, signed, each.round))
        for each, signed in ended
    ]
    return [each for each, _ in ended], store_and_forward(transaction, new, at=at)


def _by_entry(doomed: Sequence[Doomed]) -> dict[int, set[str]]:
    codes: dict[int, set[str]] = {}
    for each in doomed:
        codes.setdefault(each.entry, set()).add(each.recipient)
    return codes
