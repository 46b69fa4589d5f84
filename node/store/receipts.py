"""Receipts with their proofs: those that we issued and those that came back. Verified before they are stored."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Row, bindparam, func, select

from node.store.message_tables import handovers
from node.store.metadata import Transaction
from node.store.receipt_tables import proofs, receipts
from node.store.records import ReceiptRow, Trouble
from runtime.columns import Upsert
from runtime.prepared import Prepared
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.receipts import Issuer, IssuerKind, Receipt, ReceiptEvent, SignedReceipt

#: What is attested of a message after its consignment.
HANDOVERS: Final = (ReceiptEvent.CONTENT_HANDOVER, ReceiptEvent.CONTENT_HANDOVER_FAILURE)

#: How many receipts of one event each party may bring, for the few that can happen more than once.
_ROUNDS: Final = {ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE: 32}


#: What no two receipts have in common.
_EVENT: Final = [receipts.c.message_id, receipts.c.event, receipts.c.party, receipts.c.round]

# What each receipt needs is built once: to build a statement costs four times what it costs to run it.
_ADD_PROOF: Final = Prepared(Upsert(proofs, lambda adding: adding.on_conflict_do_nothing()))
_ADD: Final = Prepared(
    Upsert(receipts, lambda adding: adding.on_conflict_do_nothing(index_elements=_EVENT).returning(receipts.c.receipt))
)
_OF_EVENT: Final = Prepared(
    select(receipts.c.receipt_id, receipts.c.receipt).where(
        receipts.c.message_id == bindparam("of_message"),
        receipts.c.event == bindparam("of_event"),
        receipts.c.party == bindparam("of_party"),
    )
)
_PROOF: Final = Prepared(select(proofs.c.body).where(proofs.c.digest == bindparam("of_digest")))


def add(
    transaction: Transaction, receipts_signed: Sequence[tuple[Receipt, SignedReceipt]], *, at: datetime
) -> list[int]:
    """Keep receipts; gives the numbers under which they are kept, in their order.

    Of two that attest the same event the first stays, and is what is answered to repeats. Failed consignments are kept
    up to `_ROUNDS` from each party: a delivery that was offered anew can fail once more.
    """
    names = {proof: hashlib.sha256(proof).hexdigest() for proof in {signed.proof for _, signed in receipts_signed}}
    for proof, digest in names.items():
        _ADD_PROOF.run(transaction, {"digest": digest, "body": proof})
    return [_add(transaction, receipt, signed, names[signed.proof], at) for receipt, signed in receipts_signed]


def _add(transaction: Transaction, receipt: Receipt, signed: SignedReceipt, proof: Sha256Hex, at: datetime) -> int:
    # Nearly every receipt is the first of its event: the others are looked up when this one finds no place.
    added = _added(transaction, receipt, signed, proof, at, number=0)
    if added is not None:
        return added
    known = _known(transaction, receipt)
    if receipt.receipt_id in known:
        return known[receipt.receipt_id]
    if len(known) >= _ROUNDS.get(receipt.event, 1):
        return min(known.values())
    added = _added(transaction, receipt, signed, proof, at, number=len(known))
    assert added is not None  # noqa: S101 - nothing stands in its way
    return added


def _added(
    transaction: Transaction, receipt: Receipt, signed: SignedReceipt, proof: Sha256Hex, at: datetime, *, number: int
) -> int | None:
    """Where the receipt is kept as the round `number` of its event; None if there is another one."""
    added: int | None = _ADD.scalar(
        transaction,
        {
            "message_id": receipt.message_id,
            "event": receipt.event,
            "party": _party(receipt.issuer, receipt.recipient),
            "receipt_id": receipt.receipt_id,
            "issuer_kind": receipt.issuer.kind,
            "issuer_name": receipt.issuer.name,
            "recipient": receipt.recipient,
            "occurred_at": receipt.occurred_at,
            "stored_at": at,
            "reason_code": receipt.reason.code if receipt.reason else None,
            "reason_text": receipt.reason.text if receipt.reason else None,
            "body": signed.receipt,
            "proof": proof,
            "round": number,
        },
    )
    return added


def _known(transaction: Transaction, receipt: Receipt) -> dict[str, int]:
    """The receipts of that event from that party, by their own ids."""
    party = _party(receipt.issuer, receipt.recipient)
    asked = {"of_message": receipt.message_id, "of_event": receipt.event, "of_party": party}
    rows = _OF_EVENT.all(transaction, asked)
    return {row.receipt_id: row.receipt for row in rows}


def number_of(
    transaction: Transaction,
    message_id: Sha256Hex,
    event: ReceiptEvent,
    issuer: Issuer,
    recipient: AgencyCode | None,
) -> int | None:
    """Where the receipt of that event is kept; None if there is none."""
    asked = {"of_message": message_id, "of_event": event, "of_party": _party(issuer, recipient)}
    row = _OF_EVENT.first(transaction, asked)
    return None if row is None else row.receipt


def issued_since(transaction: Transaction, events: Collection[ReceiptEvent], since: datetime) -> list[int]:
    """The receipts of `events` that this node issued for messages received here, and kept at `since` or later."""
    return list(
        transaction.scalars(
            select(receipts.c.receipt)
            .join(
                handovers,
                (handovers.c.message_id == receipts.c.message_id) & (handovers.c.code == receipts.c.recipient),
            )
            .where(
                receipts.c.event.in_(events),
                receipts.c.issuer_kind == IssuerKind.AGENCY,
                receipts.c.stored_at >= since,
            )
            .order_by(receipts.c.receipt)
        )
    )


def handed_over(transaction: Transaction, message_id: Sha256Hex, codes: Collection[AgencyCode]) -> list[int]:
    """The receipts by which agencies of this node attest what became of a message after its consignment for `codes`."""
    if not codes:
        return []
    return list(
        transaction.scalars(
            select(receipts.c.receipt).where(
                receipts.c.message_id == message_id,
                receipts.c.event.in_(HANDOVERS),
                receipts.c.issuer_kind == IssuerKind.AGENCY,
                receipts.c.recipient.in_(codes),
            )
        )
    )


def proofs_of(transaction: Transaction, digests: Collection[Sha256Hex]) -> dict[Sha256Hex, bytes]:
    """The proofs that have these digests; each is kept as long as a receipt that it signs."""
    return {digest: _PROOF.scalars(transaction, {"of_digest": digest})[0] for digest in digests}


def count_of(transaction: Transaction, message_id: Sha256Hex) -> int:
    """How many receipts about a message there are."""
    counted = select(func.count()).select_from(receipts).where(receipts.c.message_id == message_id)
    return transaction.execute(counted).scalar_one()


def of_message(transaction: Transaction, message_id: Sha256Hex, *, most: int | None = None) -> tuple[ReceiptRow, ...]:
    """Every receipt about a message in the order of what happened, or the first `most` of them."""
    rows = transaction.execute(
        select(receipts, proofs.c.body.label("proof_body"))
        .join(proofs, proofs.c.digest == receipts.c.proof)
        .where(receipts.c.message_id == message_id)
        .order_by(receipts.c.occurred_at, receipts.c.receipt)
        .limit(most)
    )
    return tuple(_row(row) for row in rows)


def _row(row: Row[tuple[object, ...]]) -> ReceiptRow:
    return ReceiptRow(
        receipt_id=row.receipt_id,
        event=ReceiptEvent(row.event),
        issuer=Issuer(IssuerKind(row.issuer_kind), row.issuer_name),
        recipient=row.recipient,
        occurred_at=row.occurred_at,
        stored_at=row.stored_at,
        trouble=Trouble(code=row.reason_code, text=row.reason_text) if row.reason_code else None,
        signed=SignedReceipt(row.body, row.proof_body),
    )


def _party(issuer: Issuer, recipient: AgencyCode | None) -> str:
    # A blank stands in no code, so the text names both without doubt.
    return f"{issuer.kind} {issuer.name} {recipient or ''}"
