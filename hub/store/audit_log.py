"""Who changed what, and when: written with the change, read by operators, never altered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from hub.store.directory_tables import audit_log
from hub.store.metadata import Transaction


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """`actor` did `action` to `subject`. Names only: no secret ever stands in `detail`."""

    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any]


def note(transaction: Transaction, entry: AuditEntry) -> None:
    """Add `entry` in the transaction of the change that it speaks of."""
    transaction.execute(
        insert(audit_log).values(
            at=entry.at, actor=entry.actor, action=entry.action, subject=entry.subject, detail=dict(entry.detail)
        )
    )


def latest(transaction: Transaction, subject: str, *, limit: int) -> list[AuditEntry]:
    """The newest entries about `subject`, newest first."""
    statement = (
        select(audit_log.c.at, audit_log.c.actor, audit_log.c.action, audit_log.c.subject, audit_log.c.detail)
        .where(audit_log.c.subject == subject)
        .order_by(audit_log.c.id.desc())
        .limit(limit)
    )
    return [AuditEntry(*row) for row in transaction.execute(statement)]
