"""Keeping receipts about messages of ours, and telling the outbox what they attest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Final

import structlog

from node.store import directory as directory_store
from node.store import outbox, recipients
from node.store import receipts as receipt_store
from node.store.metadata import Transaction
from node.store.records import Trouble
from node.store.states import DeliveryState
from node.usecases.addressing import codes_of
from schemas.codes import AgencyCode
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


def keep_receipts(transaction: Transaction, held: Sequence[HeldReceipt], *, at: datetime) -> None:
    """Keep those of `held` that are about a message of ours and one of its recipients; of others the log tells."""
    # The receipts of a batch are of a few agencies, under a few proofs.
    codes = cache(partial(_codes_of, transaction))
    kept: list[tuple[HeldReceipt, AgencyCode | None]] = []
    for each in held:
        receipt, row = each.receipt, None
        if receipt.recipient is None:
            is_ours = outbox.standing_of(transaction, receipt.message_id) is not None
        else:
            # Only messages of ours have recipients.
            row = recipients.recipient_among(transaction, receipt.message_id, codes(receipt.recipient))
            is_ours = row is not None
        if is_ours:
            kept.append((each, row))
        else:
            # Of a message that this node does not know as its own (it was restored from a backup?).
            log.warning("receipt.foreign", message=receipt.message_id, of=receipt.event, issuer=receipt.issuer.name)
    receipt_store.add(transaction, [(each.receipt, each.signed) for each, _ in kept], at=at)
    for each, row in kept:
        if row is not None:
            _advance(transaction, each.receipt, row)


def _codes_of(transaction: Transaction, code: AgencyCode) -> tuple[AgencyCode, ...]:
    entry = directory_store.agency(transaction, code)
    return tuple(codes_of(entry)) if entry else (code,)


def _advance(transaction: Transaction, receipt: Receipt, row: AgencyCode) -> None:
    delivery = _delivery_of(receipt)
    if delivery is not None:
        trouble = Trouble(code=receipt.reason.code, text=receipt.reason.text) if receipt.reason else None
        recipients.advance(transaction, receipt.message_id, row, delivery, at=receipt.occurred_at, trouble=trouble)


def _delivery_of(receipt: Receipt) -> DeliveryState | None:
    if receipt.issuer.kind is IssuerKind.HUB and receipt.reason is not None:
        return _ENDED_BY_HUB.get(receipt.reason.code, _DELIVERIES.get(receipt.event))
    return _DELIVERIES.get(receipt.event)
