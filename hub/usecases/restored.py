"""A hub that was put back to a backup: its store begins a new epoch, by which nodes know to bring what it lost."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from hub.store import audit_log, state
from hub.store.audit_log import AuditEntry
from hub.store.metadata import Transaction
from hub.usecases.directory import DirectoryPublisher
from runtime.clock import Clock
from runtime.database import Database


@dataclass(frozen=True, slots=True)
class NewEpoch:
    """The epoch that begins, the one before, and the version of the directory that proves it to nodes."""

    epoch: str
    before: str
    directory_version: int


async def begin_epoch(database: Database, publisher: DirectoryPublisher, *, clock: Clock, actor: str) -> NewEpoch:
    """Begin a new epoch, audited.

    A version of the directory is published with it: nodes that have versions which the backup lacks go back to where
    both histories part only when the directory's key has signed another way on (docs/adr/0004).
    """
    now, epoch = clock(), secrets.token_hex(8)

    def begin(transaction: Transaction) -> NewEpoch:
        before = state.epoch(transaction)
        state.set_epoch(transaction, epoch)
        version = publisher.publish(transaction, now)
        audit_log.note(transaction, AuditEntry(now, actor, "hub.restored", "hub", {"epoch": epoch, "before": before}))
        return NewEpoch(epoch, before, version)

    return await database.write(begin)
