"""All tables of the node, for who needs the whole: migrations and their tests."""

from __future__ import annotations

from node.store import directory_tables, message_tables, receipt_tables, refusal_tables, standing_tables
from node.store.metadata import metadata

__all__ = ["directory_tables", "message_tables", "metadata", "receipt_tables", "refusal_tables", "standing_tables"]
