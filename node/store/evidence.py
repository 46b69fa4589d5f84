"""What the node holds of the directory and of refused messages, for evidence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import func, select

from node.store.directory_tables import directory_versions
from node.store.message_tables import messages
from node.store.metadata import Transaction
from schemas.envelope import Sha256Hex


def purged_at(transaction: Transaction, message_id: Sha256Hex) -> datetime | None:
    """When the payload of a message was dropped; None if it was not."""
    dropped: datetime | None = transaction.scalar(
        select(messages.c.purged_at).where(messages.c.message_id == message_id)
    )
    return dropped


def directory_documents(transaction: Transaction) -> Iterator[bytes]:
    """Every signed version of the directory that was applied, in order."""
    return iter(transaction.scalars(select(directory_versions.c.body).order_by(directory_versions.c.number)))


def directory_bytes(transaction: Transaction) -> int:
    """How long all versions are together."""
    return transaction.scalar(select(func.sum(func.length(directory_versions.c.body)))) or 0
