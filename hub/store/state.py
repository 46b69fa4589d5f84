"""The one row that says what this hub is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, inspect, select, update

from hub.store.directory_tables import hub_state
from hub.store.metadata import Transaction
from schemas.errors import Rejected


@dataclass(frozen=True, slots=True)
class HubState:
    name: str
    epoch: str
    created_at: datetime


def is_hubs(transaction: Transaction) -> bool:
    """Whether the database has a hub's tables, of whichever schema."""
    return inspect(transaction).has_table(hub_state.name)


def begin(transaction: Transaction, *, name: str, epoch: str, at: datetime) -> None:
    """Note what this hub is, once."""
    transaction.execute(insert(hub_state).values(id=1, name=name, epoch=epoch, created_at=at))


def forget(transaction: Transaction) -> None:
    """Take back what `begin` noted."""
    transaction.execute(delete(hub_state))


def find(transaction: Transaction) -> HubState | None:
    """What this hub is; None before `hub init` has come to its end."""
    row = transaction.execute(select(hub_state.c.name, hub_state.c.epoch, hub_state.c.created_at)).one_or_none()
    return None if row is None else HubState(row.name, row.epoch, row.created_at)


def epoch(transaction: Transaction) -> str:
    """The epoch of the store, which a restore changes. Raises `hub-not-initialised`."""
    state = find(transaction)
    if state is None:
        raise Rejected("hub-not-initialised", "This database holds no hub yet.", mend="Run `congvan hub init DIR`.")
    return state.epoch


def set_epoch(transaction: Transaction, epoch: str) -> None:
    """Begin the epoch `epoch`."""
    transaction.execute(update(hub_state).values(epoch=epoch))


def probe(transaction: Transaction, at: datetime) -> None:
    """Write something of no meaning, to see that writing works."""
    transaction.execute(update(hub_state).values(probed_at=at))
