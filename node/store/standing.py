"""How this record and the hub's stand to each other: the mark, and the hub's epoch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, exists, select

from node.store.metadata import Transaction
from node.store.standing_tables import hub_standing, left_epochs
from runtime.columns import Upsert, insert_or
from runtime.prepared import Prepared

_columns = hub_standing.c


@dataclass(frozen=True, slots=True)
class HubStanding:
    """See `node.store.standing_tables`; `epoch` is None before the hub was met."""

    mark: int
    epoch: str | None
    restored_at: datetime | None
    directory_epoch: str | None
    catching_up_from: datetime | None


_OF_HUB = Prepared(
    select(_columns.mark, _columns.epoch, _columns.restored_at, _columns.directory_epoch, _columns.catching_up_from)
)
_RAISE = Prepared(
    Upsert(
        hub_standing,
        lambda adding: adding.on_conflict_do_update(index_elements=[_columns.id], set_={"mark": _columns.mark + 1}),
    )
)


def of_hub(transaction: Transaction) -> HubStanding:
    row = _OF_HUB.first(transaction, {})
    return HubStanding(0, None, None, None, None) if row is None else HubStanding(*row)


def raise_mark(transaction: Transaction) -> None:
    """Count one transaction that takes something out of the mailbox.

    A report bears the mark as it stood with all that it speaks of; so a record with that mark holds all of it.
    """
    _RAISE.run(transaction, {"id": 1, "mark": 1})


def begin_catching_up(transaction: Transaction, since: datetime) -> datetime:
    """Note from when on is asked for what was sent, and give it; what was noted before holds until all has come.

    What has come by then is newer than what is still missing: the record as it is then would tell a later time.
    """
    noted: datetime | None = transaction.scalar(select(_columns.catching_up_from))
    if noted is None:
        _put(transaction, catching_up_from=since)
    return noted or since


def end_catching_up(transaction: Transaction, mark: int) -> None:
    """All has come: count on from `mark`, unless the count is there already."""
    statement = insert_or(transaction, hub_standing).values(id=1, mark=mark)
    transaction.execute(
        statement.on_conflict_do_update(
            index_elements=[_columns.id],
            set_={"mark": case((_columns.mark < mark, mark), else_=_columns.mark), "catching_up_from": None},
        )
    )


def begin_epoch(transaction: Transaction, epoch: str, *, restored_at: datetime | None) -> None:
    """Go on in the hub's `epoch`; `restored_at` is the present, unless it is the first."""
    before = transaction.scalar(select(_columns.epoch))
    if before is not None and restored_at is not None:
        left = insert_or(transaction, left_epochs).values(epoch=before, left_at=restored_at)
        transaction.execute(left.on_conflict_do_nothing())
    _put(transaction, epoch=epoch, restored_at=restored_at)


def is_over(transaction: Transaction, epoch: str) -> bool:
    """Whether the hub has gone on from `epoch` to another."""
    return bool(transaction.scalar(select(exists().where(left_epochs.c.epoch == epoch))))


def agree_on_directory(transaction: Transaction, epoch: str) -> None:
    """The copy of the directory shares the history of the hub of `epoch`."""
    _put(transaction, directory_epoch=epoch)


def _put(transaction: Transaction, **values: object) -> None:
    statement = insert_or(transaction, hub_standing).values(id=1, mark=0, **values)
    transaction.execute(statement.on_conflict_do_update(index_elements=[_columns.id], set_=values))
