"""Receipts on their way to the sender: stored, and put into the mailbox of the connection that sent the message."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from hub.store import mailboxes, receipts
from hub.store.mailboxes import ForwardedReceipt
from hub.store.messages import KnownMessage
from hub.store.metadata import Transaction
from hub.store.receipts import NewReceipt


def store_and_forward(
    transaction: Transaction, new: Sequence[tuple[KnownMessage, NewReceipt]], *, at: datetime
) -> frozenset[str]:
    """Keep receipts, each with the message that it speaks of, and hand them on; gives the connections that got some."""
    if not new:
        return frozenset()
    numbers = receipts.add(transaction, [receipt for _, receipt in new], at=at)
    forwarded = [
        ForwardedReceipt(
            message.connection,
            message.lane,
            message.message,
            number,
            weight=len(receipt.signed.receipt) + len(receipt.signed.proof),
        )
        for (message, receipt), number in zip(new, numbers, strict=True)
    ]
    mailboxes.forward(transaction, forwarded, at=at)
    return frozenset(entry.connection for entry in forwarded)
