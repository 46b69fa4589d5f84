"""A batch of mail as it travels, in the answer to a fetch or pushed."""

from __future__ import annotations

import asyncio
from typing import Final

from hub.store.mailbox_contents import WaitingEnvelope, WaitingReceipt
from hub.usecases.mailbox import Batch, HandedOut
from schemas.limits import KIB
from transport.wire import EnvelopeEntry, MailboxAnswer, ReceiptEntry, ReceiptRef

#: A batch of more bytes than this is written in a thread: base64 of a megabyte takes milliseconds.
_QUICK: Final = 128 * KIB


async def encoded_answer(batch: Batch, epoch: str) -> bytes:
    """The MailboxAnswer that brings `batch`, from a store of that `epoch`."""
    answer = _answer(batch, epoch)
    return answer.encode() if _bytes_of(batch) <= _QUICK else await asyncio.to_thread(answer.encode)


def _answer(batch: Batch, epoch: str) -> MailboxAnswer:
    proofs: dict[str, bytes] = {}
    return MailboxAnswer(
        epoch=epoch,
        hub_time=batch.hub_time,
        directory_version=batch.directory_version,
        reported=batch.marks.reported,
        newest_sent=batch.marks.newest_message,
        entries=tuple(_entry(batch, number, entry, proofs) for number, entry in batch.entries.items()),
        proofs=proofs,
    )


def _entry(batch: Batch, number: int, entry: HandedOut, proofs: dict[str, bytes]) -> EnvelopeEntry | ReceiptEntry:
    match entry:
        case WaitingEnvelope():
            return EnvelopeEntry(
                entry=number,
                lease=batch.lease,
                leased_until=batch.until,
                message_id=entry.message_id,
                recipients=entry.recipients,
                accepted_at=entry.accepted_at,
                acceptance=_ref(entry.acceptance, proofs),
                envelope=entry.envelope,
                attachments=entry.attachments,
                receipts=tuple(_ref(receipt, proofs) for receipt in entry.attested),
            )
        case WaitingReceipt():
            return ReceiptEntry(entry=number, lease=batch.lease, leased_until=batch.until, receipt=_ref(entry, proofs))


def _ref(receipt: WaitingReceipt, proofs: dict[str, bytes]) -> ReceiptRef:
    """The receipt, its proof added to those of the answer: many receipts share one."""
    proofs[receipt.proof] = receipt.proof_body
    return ReceiptRef(receipt=receipt.receipt, proof=receipt.proof)


def _bytes_of(batch: Batch) -> int:
    return sum(
        len(entry.envelope) + sum(map(len, entry.attachments.values())) if isinstance(entry, WaitingEnvelope) else KIB
        for entry in batch.entries.values()
    )
