"""Receipts of messages that were refused for good when they came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from node.store.metadata import Transaction
from node.store.refusal_tables import refusals
from runtime.columns import insert_or
from schemas.envelope import Sha256Hex
from schemas.receipts import Receipt, SignedReceipt


@dataclass(frozen=True, slots=True)
class RefusalReceipt:
    """What an agency of ours attests of a message that it does not take, and the hub's acceptance of that message."""

    receipt: Receipt
    signed: SignedReceipt
    acceptance: SignedReceipt


def keep(transaction: Transaction, made: Sequence[RefusalReceipt]) -> list[SignedReceipt]:
    """Keep receipts of one message; gives for each agency the one that is kept, which is the first there was."""
    kept = []
    for each in made:
        receipt = each.receipt
        transaction.execute(
            insert_or(transaction, refusals).on_conflict_do_nothing(),
            {
                "message_id": receipt.message_id,
                "recipient": receipt.recipient,
                "sender": receipt.sender,
                "refused_at": receipt.occurred_at,
                "rule": receipt.reason.code if receipt.reason else receipt.event,
                "receipt": each.signed.receipt,
                "proof": each.signed.proof,
                "acceptance": each.acceptance.receipt,
                "acceptance_proof": each.acceptance.proof,
            },
        )
        row = transaction.execute(
            select(refusals.c.receipt, refusals.c.proof).where(
                refusals.c.message_id == receipt.message_id, refusals.c.recipient == receipt.recipient
            )
        ).one()
        kept.append(SignedReceipt(row.receipt, row.proof))
    return kept


def of_message(transaction: Transaction, message_id: Sha256Hex) -> list[SignedReceipt]:
    """The hub's acceptance of a message that was refused here, then the failures; none if it was not refused."""
    rows = transaction.execute(
        select(refusals).where(refusals.c.message_id == message_id).order_by(refusals.c.recipient)
    ).all()
    accepted = dict.fromkeys(SignedReceipt(row.acceptance, row.acceptance_proof) for row in rows)
    return [*accepted, *(SignedReceipt(row.receipt, row.proof) for row in rows)]
