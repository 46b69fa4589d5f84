"""What connections ask about the units below their agencies, and how much of it in a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, delete, func, select, update

from hub.store.directory_tables import agencies
from hub.store.metadata import Transaction
from hub.store.unit_tables import unit_changes, unit_requests
from runtime.columns import insert_or
from schemas.codes import AgencyCode


class Wish(StrEnum):
    """What a connection wants of a unit."""

    DECLARE = "declare"
    RETIRE = "retire"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRequest:
    """A request of `connection`; with `refused_at` and `reason` once the operator has refused it."""

    code: AgencyCode
    connection: str
    wish: Wish
    name: str
    mail: str
    phone: str
    asked_at: datetime
    refused_at: datetime | None = None
    reason: str | None = None


def find(transaction: Transaction, code: AgencyCode) -> UnitRequest | None:
    """The request for `code`, open or refused."""
    row = transaction.execute(select(unit_requests).where(unit_requests.c.code == code.value)).one_or_none()
    return None if row is None else _request(row)


def put(transaction: Transaction, request: UnitRequest) -> None:
    """Keep `request` in place of one for the same code."""
    row = {
        "code": request.code.value,
        "connection": request.connection,
        "wish": request.wish,
        "name": request.name,
        "mail": request.mail,
        "phone": request.phone,
        "asked_at": request.asked_at,
        "refused_at": request.refused_at,
        "reason": request.reason,
    }
    statement = insert_or(transaction, unit_requests).values(row)
    transaction.execute(
        statement.on_conflict_do_update(
            index_elements=[unit_requests.c.code], set_={name: statement.excluded[name] for name in row}
        )
    )


def refuse(transaction: Transaction, code: AgencyCode, reason: str, *, at: datetime) -> None:
    """Mark the request for `code` as refused."""
    transaction.execute(
        update(unit_requests).where(unit_requests.c.code == code.value).values(refused_at=at, reason=reason)
    )


def remove(transaction: Transaction, code: AgencyCode) -> bool:
    """Forget the request for `code`; False if there was none."""
    return bool(transaction.execute(delete(unit_requests).where(unit_requests.c.code == code.value)).rowcount)


def page(transaction: Transaction, *, after: str, limit: int, refused: bool) -> list[UnitRequest]:
    """The next `limit` open requests whose codes come after `after`, by code; with the refused ones, if wanted."""
    statement = select(unit_requests).where(unit_requests.c.code > after).order_by(unit_requests.c.code).limit(limit)
    if not refused:
        statement = statement.where(unit_requests.c.refused_at.is_(None))
    return [_request(row) for row in transaction.execute(statement)]


def count(transaction: Transaction, connection: str) -> int:
    """How many requests of `connection` are open."""
    statement = select(func.count()).where(
        unit_requests.c.connection == connection, unit_requests.c.refused_at.is_(None)
    )
    return transaction.scalar(statement) or 0


def forget_refused(transaction: Transaction, connection: str, *, keep: int) -> None:
    """Forget the refused requests of `connection` but the `keep` newest."""
    newest = (
        select(unit_requests.c.code)
        .where(unit_requests.c.connection == connection, unit_requests.c.refused_at.is_not(None))
        .order_by(unit_requests.c.refused_at.desc(), unit_requests.c.code)
        .offset(keep)
    )
    for code in transaction.scalars(newest).all():
        transaction.execute(delete(unit_requests).where(unit_requests.c.code == code))


def agencies_of(transaction: Transaction, connection: str) -> int:
    """How many agencies `connection` serves or served to their end."""
    return transaction.scalar(select(func.count()).where(agencies.c.connection == connection)) or 0


def count_change(transaction: Transaction, connection: str, day: int) -> int:
    """Count one more change of `connection` on `day` (ordinal); gives how many it made on that day with this one."""
    so_far = transaction.execute(
        select(unit_changes.c.day, unit_changes.c.changes).where(unit_changes.c.connection == connection)
    ).one_or_none()
    changes = so_far.changes + 1 if so_far is not None and so_far.day == day else 1
    statement = insert_or(transaction, unit_changes).values(connection=connection, day=day, changes=changes)
    transaction.execute(
        statement.on_conflict_do_update(
            index_elements=[unit_changes.c.connection], set_={"day": day, "changes": changes}
        )
    )
    return changes


def _request(row: Row[*tuple[Any, ...]]) -> UnitRequest:
    return UnitRequest(
        code=AgencyCode(row.code),
        connection=row.connection,
        wish=Wish(row.wish),
        name=row.name,
        mail=row.mail,
        phone=row.phone,
        asked_at=row.asked_at,
        refused_at=row.refused_at,
        reason=row.reason,
    )
