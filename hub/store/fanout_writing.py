"""A note of the fan-out becomes deliveries and mailbox entries, inside the database."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    JSON,
    ColumnElement,
    FromClause,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    true,
)

from hub.store.deliveries import DeliveryState
from hub.store.exchange_tables import deliveries, fanout_batches, mailbox_entries, messages
from hub.store.metadata import Transaction
from runtime.columns import Instant
from runtime.prepared import Prepared

_batches = fanout_batches.c


def write_noted(transaction: Transaction, message: int, batch: int, *, at: datetime) -> tuple[str, ...]:
    """Write what is noted as one batch, without a row passing through here; gives the connections of its entries."""
    here = {"of_message": message, "of_batch": batch}
    writing = _WRITING[transaction.dialect.name]
    writing.deliveries.run(transaction, here | {"at": at})
    writing.entries.run(transaction, here | {"at": at})
    entries = _NOTED_ENTRIES.scalar(transaction, here)
    _DROP.run(transaction, here)
    return tuple(connection for connection, _ in json.loads(entries or "[]"))


@dataclass(frozen=True, slots=True)
class _Writing:
    """What turns a note into rows, in one dialect."""

    deliveries: Prepared
    entries: Prepared


def _pairs_on_sqlite(noted: ColumnElement[str]) -> tuple[FromClause, ColumnElement[str], ColumnElement[str]]:
    pairs = func.json_each(noted).table_valued("value", name="pairs")
    return pairs, func.json_extract(pairs.c.value, "$[0]"), func.json_extract(pairs.c.value, "$[1]")


def _pairs_on_postgresql(noted: ColumnElement[str]) -> tuple[FromClause, ColumnElement[str], ColumnElement[str]]:
    pairs = func.json_array_elements(cast(noted, JSON)).table_valued("value", name="pairs")
    return pairs, pairs.c.value.op("->>")(0), pairs.c.value.op("->>")(1)


def _writing(
    pairs: Callable[[ColumnElement[str]], tuple[FromClause, ColumnElement[str], ColumnElement[str]]],
) -> _Writing:
    """`pairs` gives what is noted in a column as rows to join, and the two members of each pair."""
    at = bindparam("at", type_=Instant)
    pair, connection, code = pairs(_batches.targets)
    add_deliveries = insert(deliveries).from_select(
        ["message", "recipient", "connection", "state", "updated_at"],
        select(_batches.message, code, connection, literal(DeliveryState.QUEUED.value), at)
        .select_from(fanout_batches)
        .join(pair, true())
        .where(*_HERE),
    )
    pair, connection, codes = pairs(_batches.entries)
    values = {
        "connection": connection,
        "lane": _batches.lane,
        "message": _batches.message,
        "codes": codes,
        "weight": messages.c.weight,
        "open": true(),
        "available_at": at,
        "lapses": literal(0),
        "attempts": literal(0),
        "expires_at": messages.c.expires_at,
    }
    add_entries = insert(mailbox_entries).from_select(
        list(values),
        select(*values.values())
        .select_from(fanout_batches)
        .join(messages, messages.c.message == _batches.message)
        .join(pair, true())
        .where(*_HERE),
    )
    return _Writing(Prepared(add_deliveries), Prepared(add_entries))


# A step of a circular runs each of them.
_HERE = (_batches.message == bindparam("of_message"), _batches.batch == bindparam("of_batch"))
_WRITING = {"sqlite": _writing(_pairs_on_sqlite), "postgresql": _writing(_pairs_on_postgresql)}
_NOTED_ENTRIES = Prepared(select(_batches.entries).where(*_HERE))
_DROP = Prepared(delete(fanout_batches).where(*_HERE))
