"""Receipts and the proofs that sign them, byte for byte as they were signed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, insert, select

from hub.store.delivery_keys import DeliveryKey, grouped
from hub.store.exchange_tables import proofs, receipts
from hub.store.metadata import Transaction
from runtime.columns import Upsert
from runtime.prepared import Prepared
from schemas.envelope import Sha256Hex
from schemas.receipts import ReceiptEvent, SignedReceipt


@dataclass(frozen=True, slots=True)
class NewReceipt:
    """A receipt of what happened to a message, at its `recipient` if it was there, in that `round` of its delivery."""

    message: int
    recipient: str | None
    event: ReceiptEvent
    signed: SignedReceipt
    round: int = 0


@dataclass(frozen=True, slots=True)
class ReceiptKey:
    """Each event of a delivery is receipted once in a round."""

    message: int
    recipient: str | None
    event: ReceiptEvent
    round: int


def proof_digest(proof: bytes) -> Sha256Hex:
    """The name of a proof: the SHA-256 of its bytes."""
    return hashlib.sha256(proof).hexdigest()


_ADD_PROOF = Prepared(Upsert(proofs, lambda adding: adding.on_conflict_do_nothing()))
_ADD_UNNUMBERED = Prepared(insert(receipts))
_ADD = Prepared(insert(receipts).returning(receipts.c.receipt, sort_by_parameter_order=True))
_STORED = Prepared(
    select(receipts.c.message, receipts.c.recipient, receipts.c.event, receipts.c.round).where(
        receipts.c.message.in_(bindparam("numbers", expanding=True)),
        receipts.c.recipient.in_(bindparam("codes", expanding=True)),
    )
)


def add(transaction: Transaction, new: Sequence[NewReceipt], *, at: datetime) -> list[int]:
    """Store receipts of which none is there yet; gives their numbers in the same order."""
    return _ADD.scalar_each(transaction, _rows(transaction, new, at=at))


def add_acceptances(transaction: Transaction, accepted: Mapping[int, SignedReceipt], *, at: datetime) -> None:
    """Store the hub's acknowledgements of new messages, by number."""
    event = ReceiptEvent.SUBMISSION_ACCEPTANCE
    new = [NewReceipt(message, None, event, acknowledgement) for message, acknowledgement in accepted.items()]
    _ADD_UNNUMBERED.run_each(transaction, _rows(transaction, new, at=at))


def _rows(transaction: Transaction, new: Sequence[NewReceipt], *, at: datetime) -> list[dict[str, object]]:
    """The rows to add, when the proofs that they name are stored."""
    # Many share a proof: each is digested once.
    digests = {proof: proof_digest(proof) for proof in {receipt.signed.proof for receipt in new}}
    for body, digest in digests.items():
        _ADD_PROOF.run(transaction, {"digest": digest, "body": body})
    return [
        {
            "message": receipt.message,
            "recipient": receipt.recipient,
            "event": receipt.event,
            "stored_at": at,
            "body": receipt.signed.receipt,
            "proof": digests[receipt.signed.proof],
            "round": receipt.round,
        }
        for receipt in new
    ]


def stored(transaction: Transaction, keys: Collection[DeliveryKey]) -> set[ReceiptKey]:
    """Which events of the deliveries `keys` are receipted."""
    found: set[ReceiptKey] = set()
    for numbers, codes in grouped(keys):
        rows = _STORED.all(transaction, {"numbers": numbers, "codes": codes})
        found.update(ReceiptKey(row.message, row.recipient, ReceiptEvent(row.event), row.round) for row in rows)
    return found
