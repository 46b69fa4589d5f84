"""Keeping a receipt about a message of ours, and telling the outbox what it attests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from node.store import directory as directory_store
from node.store import outbox, recipients
from node.store import receipts as receipt_store
from node.store.metadata import Transaction
from node.store.records import Trouble
from node.store.states import DeliveryState
from node.usecases.addressing import codes_of
from schemas.receipts import IssuerKind, Receipt, ReceiptEvent, SignedReceipt

log = structlog.get_logger()

#: How far a delivery has come, by what was attested last.
_DELIVERIES: Final = {
    ReceiptEvent.CONTENT_CONSIGNMENT: DeliveryState.CONSIGNED,
    ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE: DeliveryState.REFUSED,
    ReceiptEvent.CONTENT_HANDOVER: DeliveryState.HANDED_OVER,
    ReceiptEvent.CONTENT_HANDOVER_FAILURE: DeliveryState.HANDOVER_FAILED,
    ReceiptEvent.RELAY_REJECTION: DeliveryState.REFUSED,
    ReceiptEvent.RELAY_FAILURE: DeliveryState.REFUSED,
}

#: A hub that gives a delivery up says by the reason's code how.
_ENDED_BY_HUB: Final = {"expired": DeliveryState.EXPIRED, "cancelled": DeliveryState.CANCELLED}


@dataclass(frozen=True, slots=True)
class HeldReceipt:
    """A receipt that holds, and what proves it."""

    receipt: Receipt
    signed: SignedReceipt


def keep_receipt(transaction: Transaction, held: HeldReceipt, *, at: datetime) -> None:
    """Keep `held`, if it is about a message of ours and one of its recipients; else that is said in the log."""
    receipt = held.receipt
    if outbox.standing_of(transaction, receipt.message_id) is None:
        # Of a message that this node does not know as its own (it was restored from a backup?).
        log.warning("receipt.foreign", message=receipt.message_id, of=receipt.event, issuer=receipt.issuer.name)
        return
    row = None
    if receipt.recipient is not None:
        entry = directory_store.agency(transaction, receipt.recipient)
        row = recipients.recipient_among(
            transaction, receipt.message_id, codes_of(entry) if entry else (receipt.recipient,)
        )
        if row is None:
            log.warning("receipt.foreign", message=receipt.message_id, of=receipt.event, issuer=receipt.issuer.name)
            return
    receipt_store.add(transaction, [(receipt, held.signed)], at=at)
    delivery = _delivery_of(receipt)
    if row is not None and delivery is not None:
        trouble = Trouble(code=receipt.reason.code, text=receipt.reason.text) if receipt.reason else None
        recipients.advance(transaction, receipt.message_id, row, delivery, at=receipt.occurred_at, trouble=trouble)


def _delivery_of(receipt: Receipt) -> DeliveryState | None:
    if receipt.issuer.kind is IssuerKind.HUB and receipt.reason is not None:
        return _ENDED_BY_HUB.get(receipt.reason.code, _DELIVERIES.get(receipt.event))
    return _DELIVERIES.get(receipt.event)
