"""What mailbox entries hand over: envelopes with their acceptance and short attachments, and receipts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Row, bindparam, select

from hub.store.exchange_tables import blobs, mailbox_entries, message_blobs, messages, proofs, receipts
from hub.store.exchange_tables import envelopes as envelope_bodies
from hub.store.mailboxes import codes_in
from hub.store.metadata import Transaction
from runtime.prepared import Prepared
from schemas.envelope import Sha256Hex
from schemas.receipts import ReceiptEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingReceipt:
    """A stored receipt that an entry hands over. `proof` names the bytes `proof_body`."""

    receipt: bytes
    proof: Sha256Hex
    proof_body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingEnvelope:
    """A message that an entry hands over: for whom, its acceptance, and the attachments that come along.

    `attested` is there for an entry that was opened again for a restored node: what its agencies had attested.
    """

    message_id: Sha256Hex
    recipients: tuple[str, ...]
    accepted_at: datetime
    acceptance: WaitingReceipt
    envelope: bytes
    attachments: dict[Sha256Hex, bytes]
    attested: tuple[WaitingReceipt, ...] = ()


#: What agencies attest of a message that was delivered to them.
_AT_RECIPIENT: Final = (
    ReceiptEvent.CONTENT_CONSIGNMENT,
    ReceiptEvent.CONTENT_HANDOVER,
    ReceiptEvent.CONTENT_HANDOVER_FAILURE,
)


# What every batch of mail needs is built once.
_ENTRIES: Final = mailbox_entries.c.entry.in_(bindparam("entries", expanding=True))
_ENVELOPES: Final = Prepared(
    select(
        mailbox_entries.c.entry,
        mailbox_entries.c.codes,
        mailbox_entries.c.replayed,
        messages.c.message,
        messages.c.message_id,
        messages.c.accepted_at,
        envelope_bodies.c.body.label("envelope"),
        receipts.c.body,
        receipts.c.proof,
        proofs.c.body.label("proof_body"),
    )
    .join_from(mailbox_entries, messages, messages.c.message == mailbox_entries.c.message)
    .join(envelope_bodies, envelope_bodies.c.message == messages.c.message)
    .join(receipts, receipts.c.message == messages.c.message)
    .join(proofs, proofs.c.digest == receipts.c.proof)
    .where(
        _ENTRIES,
        mailbox_entries.c.receipt.is_(None),
        receipts.c.recipient.is_(None),
        receipts.c.event == ReceiptEvent.SUBMISSION_ACCEPTANCE,
    )
)
_RECEIPTS: Final = Prepared(
    select(mailbox_entries.c.entry, receipts.c.body, receipts.c.proof, proofs.c.body.label("proof_body"))
    .join_from(mailbox_entries, receipts, receipts.c.receipt == mailbox_entries.c.receipt)
    .join(proofs, proofs.c.digest == receipts.c.proof)
    .where(_ENTRIES)
)
_ATTACHMENTS: Final = Prepared(
    select(message_blobs.c.message, blobs.c.digest, blobs.c.content)
    .join_from(message_blobs, blobs, blobs.c.digest == message_blobs.c.digest)
    .where(message_blobs.c.message.in_(bindparam("numbers", expanding=True)), message_blobs.c.inline)
)


def envelopes(transaction: Transaction, entries: Collection[int]) -> dict[int, WaitingEnvelope]:
    """What those of `entries` hand over that hand over a message, by entry."""
    rows = _ENVELOPES.all(transaction, {"entries": list(entries)})
    attachments = _inline_attachments(transaction, {row.message for row in rows})
    return {
        row.entry: WaitingEnvelope(
            message_id=row.message_id,
            recipients=codes_in(row.codes),
            accepted_at=row.accepted_at,
            acceptance=_receipt(row),
            envelope=row.envelope,
            attachments=attachments.get(row.message, {}),
            # Only for these: any other entry costs no query more.
            attested=_attested(transaction, row.message, codes_in(row.codes)) if row.replayed else (),
        )
        for row in rows
    }


def waiting_receipts(transaction: Transaction, entries: Collection[int]) -> dict[int, WaitingReceipt]:
    """What those of `entries` hand over that hand over a receipt, by entry."""
    rows = _RECEIPTS.all(transaction, {"entries": list(entries)})
    return {row.entry: _receipt(row) for row in rows}


def _attested(transaction: Transaction, message: int, codes: Collection[str]) -> tuple[WaitingReceipt, ...]:
    rows = transaction.execute(
        select(receipts.c.body, receipts.c.proof, proofs.c.body.label("proof_body"))
        .join_from(receipts, proofs, proofs.c.digest == receipts.c.proof)
        .where(receipts.c.message == message, receipts.c.recipient.in_(codes), receipts.c.event.in_(_AT_RECIPIENT))
        .order_by(receipts.c.receipt)
    )
    return tuple(_receipt(row) for row in rows)


def _inline_attachments(transaction: Transaction, numbers: Collection[int]) -> dict[int, dict[Sha256Hex, bytes]]:
    found: dict[int, dict[Sha256Hex, bytes]] = {}
    if numbers:
        for row in _ATTACHMENTS.all(transaction, {"numbers": list(numbers)}):
            found.setdefault(row.message, {})[row.digest] = row.content
    return found


def _receipt(row: Row[*tuple[object, ...]]) -> WaitingReceipt:
    return WaitingReceipt(receipt=row.body, proof=row.proof, proof_body=row.proof_body)
