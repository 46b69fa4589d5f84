"""Expiry: a delivery that nobody fetched in its time ends, and its sender is told by a receipt of the hub."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

import structlog

from hub.store import deliveries, mailboxes, messages
from hub.store.deliveries import DeliveryChange, DeliveryState
from hub.store.mailboxes import OverdueEntry
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
from schemas.receipts import Reason, Receipt, ReceiptEvent

log = structlog.get_logger()

#: Entries that end in one transaction.
_TOGETHER: Final = 50

_REASON: Final = Reason("expired", "The recipient's node did not fetch the message in its time.")


@dataclass(frozen=True, slots=True)
class _Expired:
    """A delivery that is to end, and the receipt of it."""

    entry: int
    message: KnownMessage
    receipt: NewReceipt

    @property
    def key(self) -> tuple[int, str]:
        return self.receipt.message, self.receipt.recipient or ""


class Expiry:
    """Ends overdue deliveries."""

    def __init__(self, database: Database, signer: ReceiptSigner, wakeups: Wakeups, clock: Clock) -> None:
        self._database = database
        self._signer = signer
        self._wakeups = wakeups
        self._clock = clock

    async def run(self) -> None:
        """End all deliveries that are overdue."""
        while await self._end_some():
            pass

    async def _end_some(self) -> bool:
        now = self._clock()
        due, known = await self._database.read(partial(_overdue, at=now))
        if not due:
            return False
        expired = await asyncio.gather(
            *(self._receipted(entry, known[entry.message], code, now) for entry in due for code in entry.codes)
        )
        ended, senders = await self._database.write(partial(_expire, due=due, expired=expired, at=now))
        wake_mailboxes(self._wakeups, senders)
        for each in ended:
            log.warning("delivery.expired", message=each.message.message_id, recipient=each.receipt.recipient)
        return True

    async def _receipted(self, entry: OverdueEntry, message: KnownMessage, code: str, now: datetime) -> _Expired:
        receipt = Receipt(
            receipt_id=secrets.token_hex(16),
            event=ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE,
            issuer=self._signer.issuer,
            message_id=message.message_id,
            sender=AgencyCode(message.from_code),
            recipient=AgencyCode(code),
            occurred_at=now,
            reason=_REASON,
        )
        signed = await self._signer.sign(receipt)
        return _Expired(entry.entry, message, NewReceipt(message.message, code, receipt.event, signed))


def _overdue(transaction: Transaction, at: datetime) -> tuple[list[OverdueEntry], dict[int, KnownMessage]]:
    due = mailboxes.overdue(transaction, at=at, most=_TOGETHER)
    return due, messages.numbered(transaction, {entry.message for entry in due}) if due else {}


def _expire(
    transaction: Transaction, due: Sequence[OverdueEntry], expired: Sequence[_Expired], at: datetime
) -> tuple[list[_Expired], frozenset[str]]:
    """Expire what is still queued, for an outcome may have come since; gives that, and who has mail now."""
    found = deliveries.find(transaction, [each.key for each in expired])
    ended = [each for each in expired if found[each.key].state is DeliveryState.QUEUED]
    deliveries.change(
        transaction, [DeliveryChange(*each.key, DeliveryState.EXPIRED, _REASON.text) for each in ended], at=at
    )
    mailboxes.close(transaction, [entry.entry for entry in due])
    return ended, store_and_forward(transaction, [(each.message, each.receipt) for each in ended], at=at)
