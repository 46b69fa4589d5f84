"""The table of events: what happened to messages, numbered in the order of commits, bounded."""

from __future__ import annotations

from sqlalchemy import Column, String, Table, Text

from node.store.metadata import Code, Digest, RowNumber, metadata
from runtime.columns import Instant

#: `code` is the agency at or for which it happened; what the message is, `messages` says.
events = Table(
    "events",
    metadata,
    Column("number", RowNumber, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("name", String(32), nullable=False),
    Column("message_id", Digest, nullable=False),
    Column("code", Code),
    Column("text", Text),
)
