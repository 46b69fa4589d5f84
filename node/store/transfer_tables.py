"""Attachments that are being moved at this moment: a row each, gone when it ends, however it ends."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table

from node.store.metadata import Digest, metadata
from runtime.columns import Instant

#: `message_id` and `digest` are not known yet of a file that is being copied. It began at byte `began_from` of `size`
#: and stood at `position` at `noted_at`. A row that was not noted for a while is of a process that died.
transfers = Table(
    "transfers",
    metadata,
    Column("transfer", String(32), primary_key=True),
    Column("direction", String(16), nullable=False),
    Column("message_id", Digest),
    Column("digest", Digest),
    Column("size", BigInteger, nullable=False),
    Column("began_from", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("began_at", Instant, nullable=False),
    Column("noted_at", Instant, nullable=False),
)
