"""Marks of connections: the highest that was reported, and the message that was accepted last."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, select

from hub.store.mark_tables import connection_marks
from hub.store.metadata import Transaction
from runtime.columns import Upsert
from runtime.prepared import Prepared
from schemas.envelope import Sha256Hex

_marks = connection_marks.c


@dataclass(frozen=True, slots=True)
class Marks:
    """What the hub remembers of a connection's node, for the node to compare with its own record."""

    reported: int
    newest_message: Sha256Hex | None


_OF_CONNECTION = Prepared(
    select(_marks.reported, _marks.newest_message).where(_marks.connection == bindparam("of_connection"))
)
_RAISE = Prepared(
    Upsert(
        connection_marks,
        lambda adding: adding.on_conflict_do_update(
            index_elements=[_marks.connection],
            set_={"reported": adding.excluded.reported},
            where=_marks.reported < adding.excluded.reported,
        ),
    )
)
_NOTE = Prepared(
    Upsert(
        connection_marks,
        lambda adding: adding.on_conflict_do_update(
            index_elements=[_marks.connection], set_={"newest_message": adding.excluded.newest_message}
        ),
    )
)


def of_connection(transaction: Transaction, connection: str) -> Marks:
    row = _OF_CONNECTION.first(transaction, {"of_connection": connection})
    return Marks(0, None) if row is None else Marks(row.reported, row.newest_message)


def raise_reported(transaction: Transaction, connection: str, mark: int) -> None:
    """Note that a report bore `mark`; a lower one than is known changes nothing."""
    _RAISE.run(transaction, {"connection": connection, "reported": mark})


def note_accepted(transaction: Transaction, connection: str, message_id: Sha256Hex) -> None:
    """`message_id` is what `connection` submitted last."""
    _NOTE.run(transaction, {"connection": connection, "reported": 0, "newest_message": message_id})
