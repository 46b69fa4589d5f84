"""One change of one agency, inside an open transaction: its row, the directory's version, the audit log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from hub.store import agencies, audit_log
from hub.store.audit_log import AuditEntry
from hub.store.metadata import Transaction
from hub.usecases.connections import DEEDS
from hub.usecases.directory import DirectoryPublisher
from schemas.directory import AgencyEntry, ConnectionEntry, EntryStatus


@dataclass(frozen=True, slots=True)
class AgencyChanges:
    """Each gives the number of the version that tells of the change. `actor` is whom the audit log names."""

    publisher: DirectoryPublisher

    def admit(
        self,
        transaction: Transaction,
        entry: AgencyEntry,
        now: datetime,
        *,
        connections: tuple[ConnectionEntry, ...] = (),
        actor: str,
    ) -> int:
        """Add an agency. The caller has seen that its codes are free; `connections` came with it."""
        agencies.add(transaction, entry, at=now)
        version = self.publisher.publish(transaction, now, agencies=(entry,), connections=connections)
        older = [code.value for code in entry.older_codes]
        detail = {"name": entry.name, "older_codes": older, "connection": entry.connection, "version": version}
        audit_log.note(transaction, AuditEntry(now, actor, "agency.added", entry.code.value, detail))
        return version

    def rename(self, transaction: Transaction, entry: AgencyEntry, name: str, now: datetime, *, actor: str) -> int:
        """Give an agency another name."""
        agencies.rename(transaction, entry.code, name)
        version = self.publisher.publish(transaction, now, agencies=(replace(entry, name=name),))
        detail = {"from": entry.name, "to": name, "version": version}
        audit_log.note(transaction, AuditEntry(now, actor, "agency.renamed", entry.code.value, detail))
        return version

    def set_status(
        self, transaction: Transaction, entry: AgencyEntry, status: EntryStatus, now: datetime, *, actor: str
    ) -> int:
        """Suspend, resume or retire an agency."""
        agencies.set_status(transaction, entry.code, status)
        version = self.publisher.publish(transaction, now, agencies=(replace(entry, status=status),))
        audit_log.note(
            transaction, AuditEntry(now, actor, f"agency.{DEEDS[status]}", entry.code.value, {"version": version})
        )
        return version
