"""The hub as the daemon last saw it: one row, for commands that run beside the daemon."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from node.store.metadata import Transaction
from node.store.receipt_tables import hub_contact
from node.store.records import HubContact, Trouble
from runtime.columns import insert_or


def note_answer(
    transaction: Transaction, *, at: datetime, epoch: str, clock_ahead: float, directory_latest: int
) -> None:
    """The hub answered at `at`; nothing is wrong with the way to it."""
    _put(
        transaction,
        last_contact_at=at,
        unreachable_since=None,
        trouble_code=None,
        trouble_text=None,
        epoch=epoch,
        clock_ahead=clock_ahead,
        directory_latest=directory_latest,
    )


def note_silence(transaction: Transaction, trouble: Trouble, *, since: datetime) -> None:
    """The hub cannot be reached, or cannot serve, since `since`."""
    _put(transaction, unreachable_since=since, trouble_code=trouble.code, trouble_text=trouble.text)


def _put(transaction: Transaction, **values: object) -> None:
    statement = insert_or(transaction, hub_contact).values(id=1, **values)
    transaction.execute(statement.on_conflict_do_update(index_elements=[hub_contact.c.id], set_=values))


def last_contact(transaction: Transaction) -> HubContact:
    row = transaction.execute(select(hub_contact)).one_or_none()
    if row is None:
        return HubContact(last_contact_at=None, unreachable_since=None, trouble=None, epoch=None, clock_ahead=None)
    return HubContact(
        last_contact_at=row.last_contact_at,
        unreachable_since=row.unreachable_since,
        trouble=Trouble(code=row.trouble_code, text=row.trouble_text) if row.trouble_code else None,
        epoch=row.epoch,
        clock_ahead=row.clock_ahead,
    )


def latest_directory(transaction: Transaction) -> int:
    """The newest version of the directory that the hub has spoken of; 0 if it has not."""
    return transaction.scalar(select(hub_contact.c.directory_latest)) or 0
