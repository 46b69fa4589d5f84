"""What the hub holds of one message that proves something, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from hub.store.directory_tables import directory_versions
from hub.store.exchange_tables import blobs, envelopes, message_blobs, messages, proofs, receipts
from hub.store.metadata import Transaction
from schemas.envelope import Sha256Hex
from schemas.receipts import SignedReceipt


@dataclass(frozen=True, slots=True)
class HeldAttachment:
    """An attachment that a message names; `content` is None where the bytes are a file."""

    digest: Sha256Hex
    size: int
    content: bytes | None


@dataclass(frozen=True, slots=True)
class HeldMessage:
    """An accepted message: the code in its From, its bytes, unless they were dropped (`purged_at`), and every receipt
    about it. Of one that was never accepted there is none of these."""

    from_code: str | None
    envelope: bytes | None
    purged_at: datetime | None
    receipts: Sequence[SignedReceipt]
    attachments: Sequence[HeldAttachment]


def of_message(transaction: Transaction, message_id: Sha256Hex) -> HeldMessage | None:
    """What is held of an accepted message; None if none of that id was accepted."""
    row = transaction.execute(
        select(messages.c.message, messages.c.from_code, messages.c.purged_at, envelopes.c.body)
        .join_from(messages, envelopes, envelopes.c.message == messages.c.message, isouter=True)
        .where(messages.c.message_id == message_id)
    ).one_or_none()
    if row is None:
        return None
    signed = transaction.execute(
        select(receipts.c.body, proofs.c.body.label("proof"))
        .join_from(receipts, proofs, proofs.c.digest == receipts.c.proof)
        .where(receipts.c.message == row.message)
        .order_by(receipts.c.receipt)
    )
    named = transaction.execute(
        select(blobs.c.digest, blobs.c.size, blobs.c.content)
        .join_from(message_blobs, blobs, blobs.c.digest == message_blobs.c.digest)
        .where(message_blobs.c.message == row.message)
        .order_by(blobs.c.digest)
    )
    return HeldMessage(
        row.from_code,
        row.body,
        row.purged_at,
        [SignedReceipt(receipt.body, receipt.proof) for receipt in signed],
        [HeldAttachment(blob.digest, blob.size, blob.content) for blob in named],
    )


def directory_documents(transaction: Transaction) -> Iterator[bytes]:
    """Every signed version of the directory, in order."""
    return iter(transaction.scalars(select(directory_versions.c.document).order_by(directory_versions.c.number)))


def directory_bytes(transaction: Transaction) -> int:
    """How long all versions are together."""
    return transaction.scalar(select(func.sum(func.length(directory_versions.c.document)))) or 0
