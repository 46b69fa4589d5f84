"""The table of messages that came and were refused for good: they are in no inbox."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, String, Table

from node.store.metadata import Code, Digest, metadata
from runtime.columns import Instant

#: One row for each of our agencies that a message came for: its failure receipt and the hub's acceptance, each with
#: its proof. The bytes that were refused are not kept.
refusals = Table(
    "refusals",
    metadata,
    Column("message_id", Digest, primary_key=True),
    Column("recipient", Code, primary_key=True),
    Column("sender", Code, nullable=False),
    Column("refused_at", Instant, nullable=False),
    Column("rule", String(100), nullable=False),
    Column("receipt", LargeBinary, nullable=False),
    Column("proof", LargeBinary, nullable=False),
    Column("acceptance", LargeBinary, nullable=False),
    Column("acceptance_proof", LargeBinary, nullable=False),
)
