"""How this record and the hub's stand to each other: the mark, and the hub's epoch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, select

from node.store.metadata import Transaction
from node.store.standing_tables import hub_standing
from runtime.columns import insert_or

_columns = hub_standing.c


@dataclass(frozen=True, slots=True)
class HubStanding:
    """See `node.store.standing_tables`; `epoch` is None before the hub was met."""

    mark: int
    epoch: str | None
    restored_at: datetime | None
    directory_epoch: str | None


def of_hub(transaction: Transaction) -> HubStanding:
    row = transaction.execute(
        select(_columns.mark, _columns.epoch, _columns.restored_at, _columns.directory_epoch)
    ).one_or_none()
    return HubStanding(0, None, None, None) if row is None else HubStanding(*row)


def raise_mark(transaction: Transaction) -> None:
    """Count one transaction that takes something out of the mailbox.

    A report bears the mark as it stood with all that it speaks of; so a record with that mark holds all of it.
    """
    statement = insert_or(transaction, hub_standing).values(id=1, mark=1)
    transaction.execute(statement.on_conflict_do_update(index_elements=[_columns.id], set_={"mark": _columns.mark + 1}))


def reach_mark(transaction: Transaction, mark: int) -> None:
    """Count on from `mark`, unless the count is there already."""
    statement = insert_or(transaction, hub_standing).values(id=1, mark=mark)
    transaction.execute(
        statement.on_conflict_do_update(
            index_elements=[_columns.id],
            set_={"mark": case((_columns.mark < mark, mark), else_=_columns.mark)},
        )
    )


def begin_epoch(transaction: Transaction, epoch: str, *, restored_at: datetime | None) -> None:
    """Go on in the hub's `epoch`; `restored_at` is the present, unless it is the first."""
    _put(transaction, epoch=epoch, restored_at=restored_at)


def agree_on_directory(transaction: Transaction, epoch: str) -> None:
    """The copy of the directory shares the history of the hub of `epoch`."""
    _put(transaction, directory_epoch=epoch)


def _put(transaction: Transaction, **values: object) -> None:
    statement = insert_or(transaction, hub_standing).values(id=1, mark=0, **values)
    transaction.execute(statement.on_conflict_do_update(index_elements=[_columns.id], set_=values))
