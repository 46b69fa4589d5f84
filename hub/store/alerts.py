"""Alerts on their way to the operator's webhook: kept until it has taken them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, insert, select, update

from hub.store.metadata import Transaction
from hub.store.watch_tables import alerts

_alerts = alerts.c


@dataclass(frozen=True, slots=True)
class QueuedAlert:
    """An alert to send: `attempts` were made in vain."""

    alert: int
    alert_id: str
    event: str
    document: bytes
    attempts: int


def queue(
    transaction: Transaction, alert_id: str, event: str, document: bytes, *, at: datetime, most: int
) -> list[str]:
    """Put an alert behind the others; gives the ids of those dropped for it, the oldest, so that `most` remain."""
    transaction.execute(
        insert(alerts).values(alert_id=alert_id, event=event, created_at=at, document=document, attempts=0, due_at=at)
    )
    surplus = transaction.execute(
        select(_alerts.alert, _alerts.alert_id).order_by(_alerts.alert.desc()).offset(most)
    ).all()
    if surplus:
        transaction.execute(delete(alerts).where(_alerts.alert.in_([row.alert for row in surplus])))
    return [row.alert_id for row in surplus]


def next_due(transaction: Transaction) -> datetime | None:
    """When the next alert is to be sent; None if none waits."""
    due: datetime | None = transaction.scalar(select(func.min(_alerts.due_at)))
    return due


def claim(transaction: Transaction, *, at: datetime, until: datetime) -> QueuedAlert | None:
    """The oldest alert that is due, kept from other hub processes until `until`; None if none is due."""
    row = transaction.execute(
        select(_alerts.alert, _alerts.alert_id, _alerts.event, _alerts.document, _alerts.attempts)
        .where(_alerts.due_at <= at)
        .order_by(_alerts.alert)
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    claimed = transaction.execute(
        update(alerts).where(_alerts.alert == row.alert, _alerts.due_at <= at).values(due_at=until)
    )
    return QueuedAlert(*row) if claimed.rowcount else None


def put_off(transaction: Transaction, alert: int, *, until: datetime, error: str) -> None:
    """Send an alert again at `until`."""
    transaction.execute(
        update(alerts)
        .where(_alerts.alert == alert)
        .values(attempts=_alerts.attempts + 1, due_at=until, last_error=error)
    )


def done(transaction: Transaction, alert: int) -> None:
    transaction.execute(delete(alerts).where(_alerts.alert == alert))


def count(transaction: Transaction) -> int:
    return transaction.execute(select(func.count()).select_from(alerts)).scalar_one()
