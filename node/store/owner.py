"""Whose record the database holds."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import insert, inspect, select

from node.store.message_tables import inbox
from node.store.metadata import Transaction
from node.store.standing_tables import record_owner


@dataclass(frozen=True, slots=True)
class Owner:
    """A node, by the name of its hub and its connection there."""

    hub: str
    connection: str


def is_nodes(transaction: Transaction) -> bool:
    """Whether the database has a node's tables, of whichever schema."""
    return inspect(transaction).has_table(inbox.name)


def find(transaction: Transaction) -> Owner | None:
    """The node whose record this is; None before it was noted."""
    row = transaction.execute(select(record_owner.c.hub, record_owner.c.connection)).one_or_none()
    return None if row is None else Owner(*row)


def note(transaction: Transaction, owner: Owner) -> None:
    """Note whose record this is, for good."""
    transaction.execute(insert(record_owner).values(id=1, hub=owner.hub, connection=owner.connection))
