"""Agencies: added, suspended, resumed, retired, moved; each change is one version of the directory."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from hub.store import agencies, audit_log, connections, fanouts, moves
from hub.store.audit_log import AuditEntry
from hub.store.connections import ConnectionRow
from hub.store.metadata import Transaction
from hub.usecases.agency_changes import AgencyChanges
from hub.usecases.connections import (
    HISTORY,
    PAGE,
    Change,
    EnrolmentState,
    IssuedToken,
    TokenMint,
    create_connection,
    enrolment_state,
    existing,
    require_name,
)
from hub.usecases.directory import DirectoryPublisher
from runtime.clock import Clock
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, ConnectionEntry, EntryStatus
from schemas.errors import Rejected
from schemas.vietnamese import folded

#: Deliveries that go along in one transaction.
_MOVED_TOGETHER: Final = 200


@dataclass(frozen=True, slots=True)
class NewAgency:
    """An agency to be added. `served_by` names a connection that is there; None makes one of the agency's own."""

    code: AgencyCode
    name: str
    older_codes: tuple[AgencyCode, ...] = ()
    served_by: str | None = None


@dataclass(frozen=True, slots=True)
class AddedAgency:
    """What became of a `NewAgency`; `token` enrols its own connection, None if another one serves it."""

    entry: AgencyEntry
    version: int
    token: IssuedToken | None


@dataclass(frozen=True, slots=True)
class AgencyView:
    """An agency as an operator looks at it."""

    entry: AgencyEntry
    connection: ConnectionRow
    enrolment: EnrolmentState
    history: tuple[AuditEntry, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """What a move did: the directory's version that tells of it (None if it stood so), the deliveries gone along."""

    subject: str
    before: str
    connection: str
    version: int | None
    deliveries: int


@dataclass(frozen=True, slots=True)
class AgencyRegister:
    """The operator's hand on the agencies. `actor` names the person in the audit log."""

    database: Database
    publisher: DirectoryPublisher
    mint: TokenMint
    clock: Clock

    @property
    def _changes(self) -> AgencyChanges:
        return AgencyChanges(self.publisher)

    async def add(self, new: NewAgency, *, actor: str) -> AddedAgency:
        """Add an agency.

        Raises `name-malformed`, `agency-exists`, `code-taken` (one of its codes is another agency's), `code-repeated`,
        `connection-unknown`, `connection-exists` (the connection of its own has an id that is taken).
        """
        now = self.clock()

        def work(transaction: Transaction) -> AddedAgency:
            _require_fit(transaction, new)
            connection = new.served_by or new.code.value
            changed: tuple[ConnectionEntry, ...] = ()
            if new.served_by:
                existing(transaction, new.served_by)
            else:
                create_connection(transaction, connection, new.name, at=now)
                changed = (connections.entry(transaction, connection),)
            entry = AgencyEntry(code=new.code, name=new.name, older_codes=new.older_codes, connection=connection)
            version = self._changes.admit(transaction, entry, now, connections=changed, actor=actor)
            token = None if new.served_by else self.mint.issue(transaction, connection, now)
            return AddedAgency(entry, version, token)

        return await self.database.write(work)

    async def set_status(self, code: AgencyCode, status: EntryStatus, *, actor: str) -> Change:
        """Suspend, resume or retire an agency, named by its code of today or an older one.

        Raises `agency-unknown`, `agency-retired`: a retired code never comes back, for its documents stay under it.
        """
        now = self.clock()

        def work(transaction: Transaction) -> Change:
            entry = _existing_agency(transaction, code)
            if entry.status is status:
                return Change(entry.code.value, status, None)
            if entry.status is EntryStatus.RETIRED:
                raise Rejected(
                    "agency-retired",
                    f"{entry.code} is retired, which is for good.",
                    mend="Add the agency that succeeded it under its own code.",
                )
            version = self._changes.set_status(transaction, entry, status, now, actor=actor)
            return Change(entry.code.value, status, version)

        return await self.database.write(work)

    async def move(self, code: AgencyCode, connection: str, *, actor: str) -> Moved:
        """Let another connection serve an agency. What waits for the agency goes along, and so does every lease's end.

        It goes in several transactions once the directory says so; after a crash between them the same order goes on.

        Raises `agency-unknown`, `agency-retired`, `connection-unknown`.
        """

        def order(transaction: Transaction) -> Moved:
            now = self.clock()
            entry = _existing_agency(transaction, code)
            existing(transaction, connection)
            if entry.status is EntryStatus.RETIRED:
                raise Rejected(
                    "agency-retired",
                    f"{entry.code} is retired: nothing more goes to it.",
                    mend="Name the agency that succeeded it.",
                )
            version = None
            if entry.connection != connection:
                agencies.set_connection(transaction, entry.code, connection)
                version = self.publisher.publish(transaction, now, agencies=(replace(entry, connection=connection),))
                detail = {"from": entry.connection, "to": connection, "version": version}
                audit_log.note(transaction, AuditEntry(now, actor, "agency.moved", entry.code.value, detail))
            return Moved(entry.code.value, entry.connection, connection, version, 0)

        moved = await self.database.write(order)
        # What is not written yet names the connection of before: it is written, and moves with the rest.
        while waiting := await self.database.read(partial(fanouts.awaiting, recipient=moved.subject)):
            await self.database.write(partial(fanouts.go_on_with, message=waiting[0], at=self.clock()))
        count = 0
        while some := await self.database.write(
            lambda transaction: moves.move_queued(
                transaction, moved.subject, connection, most=_MOVED_TOGETHER, at=self.clock()
            )
        ):
            count += some
        return replace(moved, deliveries=count)

    async def view(self, code: AgencyCode) -> AgencyView:
        """Everything about one agency, named by its code of today or an older one. Raises `agency-unknown`."""

        def question(transaction: Transaction) -> AgencyView:
            entry = _existing_agency(transaction, code)
            return AgencyView(
                entry=entry,
                connection=existing(transaction, entry.connection),
                enrolment=enrolment_state(transaction, entry.connection),
                history=tuple(audit_log.latest(transaction, entry.code.value, limit=HISTORY)),
            )

        return await self.database.read(question)

    async def listing(self, prefix: str = "", search: str = "") -> AsyncGenerator[AgencyEntry, None]:
        """All agencies at or below `prefix` whose names hold the words of `search`, by code, read page by page."""
        words = folded(search).split()
        after = ""
        while entries := await self.database.read(partial(agencies.page, prefix=prefix, after=after, limit=PAGE)):
            for entry in entries:
                if not words or all(word in folded(entry.name) for word in words):
                    yield entry
            after = entries[-1].code.value


def _require_fit(transaction: Transaction, new: NewAgency) -> None:
    require_name(new.name)
    own = (new.code, *new.older_codes)
    if len(set(own)) != len(own):
        raise Rejected(
            "code-repeated",
            f"A code of {new.code} is given twice.",
            mend="Give the code of today and each older one once.",
        )
    held = agencies.resolve(transaction, [code.value for code in own])
    for code in own:
        holder = held.get(code.value)
        if holder is None:
            continue
        if holder.code == new.code.value:
            raise Rejected(
                "agency-exists",
                f"{new.code} is in the directory already.",
                mend=f"`congvan hub agency show {new.code}` shows it.",
            )
        raise Rejected(
            "code-taken",
            f"{code} is a code of {holder.code} already.",
            mend=f"`congvan hub agency show {holder.code}` shows that agency; a code belongs to one.",
        )


def _existing_agency(transaction: Transaction, code: AgencyCode) -> AgencyEntry:
    entry = agencies.find(transaction, code)
    if entry is None:
        raise Rejected(
            "agency-unknown",
            f"{code} is in the directory neither as a code of today nor as an older one.",
            mend="`congvan hub agency list --prefix …` shows what there is.",
        )
    return entry
