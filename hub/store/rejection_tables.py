"""The table of refused submissions."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, String, Table

from hub.store.exchange_tables import RowNumber
from hub.store.metadata import code_text, metadata
from runtime.columns import Instant

#: What the hub refused and signed, in order. The proof stands in each row, and not among those of accepted messages:
#: rows go when newer ones come. A message is in no other table for having been refused.
rejections = Table(
    "rejections",
    metadata,
    Column("rejection", RowNumber, primary_key=True, autoincrement=True),
    Column("connection", String(64), ForeignKey("connections.connection"), nullable=False),
    Column("message_id", String(64), nullable=False),
    Column("from_code", code_text(), nullable=False),
    Column("rejected_at", Instant, nullable=False),
    Column("rule", String(100), nullable=False),
    Column("receipt", LargeBinary, nullable=False),
    Column("proof", LargeBinary, nullable=False),
    Index("uq_rejections_message_id_from_code", "message_id", "from_code", unique=True),
    Index("ix_rejections_connection_rejection", "connection", "rejection"),
)
