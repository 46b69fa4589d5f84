"""Tables of what connections ask about the units below their agencies."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from hub.store.metadata import code_text, metadata
from runtime.columns import Instant

#: One request for a code, open or refused; it goes when it is granted or taken back. The audit log remembers.
unit_requests = Table(
    "unit_requests",
    metadata,
    Column("code", code_text(), primary_key=True),
    Column("connection", String(64), ForeignKey("connections.connection"), nullable=False),
    Column("wish", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("mail", String(254), nullable=False),
    Column("phone", String(40), nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("refused_at", Instant),
    Column("reason", Text),
    Index("ix_unit_requests_connection_asked_at", "connection", "asked_at"),
)

#: How many changes a connection made on the newest day (ordinal, UTC) on which it made any.
unit_changes = Table(
    "unit_changes",
    metadata,
    Column("connection", String(64), ForeignKey("connections.connection"), primary_key=True),
    Column("day", Integer, nullable=False),
    Column("changes", Integer, nullable=False),
)
