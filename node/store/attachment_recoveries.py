"""Messages of ours that were fetched back from the hub, and whose attachments are still to be."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from node.store.message_tables import attachments
from node.store.metadata import Transaction
from node.store.standing_tables import attachment_recoveries
from schemas.envelope import AttachmentSize, Sha256Hex

_columns = attachment_recoveries.c


def begin(transaction: Transaction, message_id: Sha256Hex, *, lane: int, sequence: int) -> None:
    """The attachments of a message that came into the record just now are to be fetched."""
    transaction.execute(insert(attachment_recoveries), {"message_id": message_id, "lane": lane, "sequence": sequence})


def waiting(transaction: Transaction) -> tuple[Sha256Hex, ...]:
    """The messages, the most urgent lane first, in it the oldest first."""
    return tuple(transaction.scalars(select(_columns.message_id).order_by(_columns.lane, _columns.sequence)))


def wanted(transaction: Transaction, message_id: Sha256Hex) -> tuple[AttachmentSize, ...]:
    """The attachments of the message that are still kept for it, here or not."""
    rows = transaction.execute(
        select(attachments.c.digest, attachments.c.size)
        .where(attachments.c.message_id == message_id, attachments.c.purged_at.is_(None))
        .order_by(attachments.c.position)
    )
    return tuple(dict.fromkeys(AttachmentSize(row.digest, row.size) for row in rows))


def end(transaction: Transaction, message_id: Sha256Hex, *, gone: Collection[Sha256Hex], at: datetime) -> None:
    """Nothing more of the message is to be fetched; the hub has dropped those that are `gone`."""
    transaction.execute(delete(attachment_recoveries).where(_columns.message_id == message_id))
    if gone:
        transaction.execute(
            update(attachments)
            .where(attachments.c.message_id == message_id, attachments.c.digest.in_(gone))
            .values(purged_at=at)
        )
