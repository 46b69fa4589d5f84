"""A hub's state from its SQLite file to a PostgreSQL database: all of it in one transaction, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hub.store import table_copies
from hub.store.metadata import Transaction
from hub.usecases.balance import Balance, balance_within
from schemas.errors import Rejected


@dataclass(frozen=True, slots=True)
class DatabaseMove:
    """What was written: rows in all tables, and the balance that both ends have."""

    tables: int
    rows: int
    balance: Balance


def require_empty(target: Transaction) -> None:
    """Raises `database-not-empty` if `target` has any table."""
    if not table_copies.is_empty(target):
        raise Rejected(
            "database-not-empty",
            "The database to copy to has tables already.",
            mend="Give the hub a database of its own, empty (`createdb`). Nothing was changed in it.",
        )


def move(
    source: Transaction, target: Transaction, *, began: Callable[[int], None], advanced: Callable[[int], None]
) -> DatabaseMove:
    """Write everything of `source` into the new tables of `target`, and compare both ends.

    `began` is told how many rows there are, `advanced` of each batch. Raises `row-does-not-fit`, and
    `database-copy-differs` if a table or the balance is not the same on both ends: then `target` is to be rolled back.
    """
    rows = table_copies.counts(source)
    began(sum(rows.values()))
    table_copies.copy_rows(source, target, copied=advanced)
    table_copies.count_on(target)
    _require_same(rows, table_copies.counts(target), "the rows of each table")
    balance = balance_within(source)
    _require_same(balance, balance_within(target), "the balance")
    return DatabaseMove(len(rows), sum(rows.values()), balance)


def _require_same(before: object, after: object, what: str) -> None:
    if before != after:
        raise Rejected(
            "database-copy-differs",
            f"Of the copy, {what} is not that of the hub.",
            mend="Nothing was copied. Report it, with the answer of `congvan hub balance --json`.",
        )
