"""Groups of recipients: a name, and the codes and prefixes that belong to it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, insert, select

from hub.store.directory_tables import group_members, recipient_groups
from hub.store.metadata import Transaction
from runtime.columns import insert_or
from schemas.directory import GroupEntry


def find(transaction: Transaction, name: str) -> GroupEntry | None:
    """The group `name`; None if there is none, or it was withdrawn."""
    title = transaction.scalar(select(recipient_groups.c.title).where(recipient_groups.c.name == name))
    if title is None:
        return None
    members = transaction.scalars(
        select(group_members.c.member).where(group_members.c.name == name).order_by(group_members.c.member)
    ).all()
    return GroupEntry(group=name, title=title, members=tuple(members)) if members else None


def names(transaction: Transaction) -> list[str]:
    """The groups that have members, by name."""
    return list(transaction.scalars(select(group_members.c.name).distinct().order_by(group_members.c.name)))


def put(transaction: Transaction, name: str, title: str, *, at: datetime) -> None:
    """Add a group, or give it another title."""
    statement = insert_or(transaction, recipient_groups).values(name=name, title=title, changed_at=at)
    transaction.execute(
        statement.on_conflict_do_update(
            index_elements=[recipient_groups.c.name],
            set_={"title": statement.excluded.title, "changed_at": statement.excluded.changed_at},
        )
    )


def add_members(transaction: Transaction, name: str, members: Collection[str]) -> None:
    """Let `members`, of whom none belongs to the group yet, belong to it."""
    if members:
        transaction.execute(insert(group_members), [{"name": name, "member": member} for member in members])


def remove_members(transaction: Transaction, name: str, members: Collection[str]) -> None:
    """Let `members` belong to the group no more."""
    for member in members:
        transaction.execute(delete(group_members).where(group_members.c.name == name, group_members.c.member == member))
