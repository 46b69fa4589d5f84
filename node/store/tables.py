"""All tables of the node, for who needs the whole: migrations and their tests."""

from __future__ import annotations

from node.store import (
    business_tables,
    directory_tables,
    event_tables,
    message_tables,
    receipt_tables,
    refusal_tables,
    standing_tables,
    transfer_tables,
)
from node.store.metadata import metadata

__all__ = [
    "business_tables",
    "directory_tables",
    "event_tables",
    "message_tables",
    "metadata",
    "receipt_tables",
    "refusal_tables",
    "standing_tables",
    "transfer_tables",
]
