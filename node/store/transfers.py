"""Attachments that are being moved, in all processes of the node: how far they are, and what room they will take."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, func, insert, select, update

from node.store.metadata import Transaction
from node.store.records import TransferRow
from node.store.states import Direction
from node.store.transfer_tables import transfers
from schemas.envelope import Sha256Hex

#: A row that is older was left by a process that died: whoever moves something notes it far more often, and breaks off
#: before this when the other side is silent.
_FORGOTTEN_AFTER: Final = timedelta(minutes=3)

_columns = transfers.c


def begin(
    transaction: Transaction,
    transfer: str,
    *,
    direction: Direction,
    message_id: Sha256Hex | None,
    digest: Sha256Hex | None,
    size: int,
    position: int,
    at: datetime,
) -> None:
    """Note that an attachment sets out; what processes that died have left is forgotten."""
    transaction.execute(delete(transfers).where(~_alive(at)))
    transaction.execute(
        insert(transfers).values(
            transfer=transfer,
            direction=direction,
            message_id=message_id,
            digest=digest,
            size=size,
            began_from=position,
            position=position,
            began_at=at,
            noted_at=at,
        )
    )


def note(transaction: Transaction, transfer: str, position: int, *, at: datetime) -> None:
    transaction.execute(update(transfers).where(_columns.transfer == transfer).values(position=position, noted_at=at))


def end(transaction: Transaction, transfer: str) -> None:
    transaction.execute(delete(transfers).where(_columns.transfer == transfer))


def to_come(transaction: Transaction, *, at: datetime) -> int:
    """Bytes that the node's disk is still to take of all that is on its way to it."""
    inward = _columns.direction != Direction.UPLOAD
    left = select(func.coalesce(func.sum(_columns.size - _columns.position), 0)).where(inward, _alive(at))
    return int(transaction.scalar(left) or 0)


def under_way(transaction: Transaction, *, at: datetime) -> tuple[TransferRow, ...]:
    """What is being moved, the oldest first."""
    rows = transaction.execute(select(transfers).where(_alive(at)).order_by(_columns.began_at))
    return tuple(
        TransferRow(
            direction=Direction(row.direction),
            message_id=row.message_id,
            digest=row.digest,
            size=row.size,
            position=row.position,
            began_at=row.began_at,
            bytes_per_second=_rate(row.position - row.began_from, row.noted_at - row.began_at),
        )
        for row in rows
    )


def _alive(at: datetime) -> ColumnElement[bool]:
    # A clock that was set back leaves rows from its future: they are no younger than they look.
    return and_(_columns.noted_at > at - _FORGOTTEN_AFTER, _columns.noted_at < at + _FORGOTTEN_AFTER)


def _rate(count: int, time: timedelta) -> float:
    seconds = time.total_seconds()
    return count / seconds if seconds > 0 else 0.0
