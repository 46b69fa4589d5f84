"""Which messages are bulk: whose attachments take so long that others must not wait for them."""

from __future__ import annotations

from sqlalchemy import ColumnElement, bindparam, func, select

from node.store.message_tables import attachments
from schemas.envelope import Sha256Hex

#: The parameter of `is_bulk`: attachments of so many bytes in all and more are bulk.
BULK_BYTES = "bulk_bytes"


def is_bulk(message_id: ColumnElement[Sha256Hex]) -> ColumnElement[bool]:
    """Whether the attachments of a message have `BULK_BYTES` in all or more; 0 for none."""
    return attached_bytes(message_id) >= bindparam(BULK_BYTES)


def attached_bytes(message_id: ColumnElement[Sha256Hex]) -> ColumnElement[int]:
    """How many bytes the attachments of a message have in all."""
    total = select(func.coalesce(func.sum(attachments.c.size), 0)).where(attachments.c.message_id == message_id)
    return total.scalar_subquery()
