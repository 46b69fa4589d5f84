"""Room on the disk that is promised: to uploads that are not complete, and to attachments in bodies of submissions."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Select, delete, func, insert, select

from hub.store.exchange_tables import submissions, uploads
from hub.store.metadata import Transaction
from hub.store.space_tables import space_reservations


def promised(transaction: Transaction, *, now: datetime) -> int:
    """Bytes that are still to come of all that was promised room.

    What came of an upload since that was last noted is counted as still to come: never too little is promised.
    """
    to_bodies = select(func.coalesce(func.sum(space_reservations.c.size), 0)).where(space_reservations.c.ends_at > now)
    return int(transaction.scalar(_to_come()) or 0) + int(transaction.scalar(to_bodies) or 0)


def promised_to(transaction: Transaction, connection: str) -> tuple[int, int]:
    """Bytes that are still to come of a connection's uploads, and in how many submissions."""
    mine = uploads.c.submission.in_(select(submissions.c.submission).where(submissions.c.connection == connection))
    number = select(func.count(uploads.c.submission.distinct())).where(mine, ~uploads.c.complete)
    return int(transaction.scalar(_to_come().where(mine)) or 0), transaction.execute(number).scalar_one()


def reserve(transaction: Transaction, holder: str, size: int, *, now: datetime, until: datetime) -> None:
    """Promise `size` bytes to `holder`; what was promised until an instant that is over is forgotten."""
    transaction.execute(delete(space_reservations).where(space_reservations.c.ends_at <= now))
    transaction.execute(insert(space_reservations).values(holder=holder, size=size, ends_at=until))


def release(transaction: Transaction, holder: str) -> None:
    """Take a promise back; none is no error."""
    transaction.execute(delete(space_reservations).where(space_reservations.c.holder == holder))


def _to_come() -> Select[int]:
    return select(func.coalesce(func.sum(uploads.c.size - uploads.c.received), 0)).where(~uploads.c.complete)
