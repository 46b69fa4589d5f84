"""A whole directory from a file: every row judged, then all of them in one transaction and one signed version.

The file says how agencies are to be, so that the same file can be given again: what stands so already is left as it is.
It admits, renames and adds older codes. It never moves, suspends or retires one: those are orders of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from hub.store import agency_rows, audit_log
from hub.store import directory as versions
from hub.store.agency_rows import AgencyRows
from hub.store.audit_log import AuditEntry
from hub.store.directory import VersionHead
from hub.store.metadata import Transaction
from hub.usecases.agency_file import FileRow, RowFault
from hub.usecases.directory import DirectoryPublisher, PreparedVersion
from runtime.clock import Clock
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, ConnectionEntry, EntryStatus
from schemas.errors import Rejected, Unavailable

#: Rows that are judged together, and how often the version is signed anew because another was published meanwhile.
_TOGETHER: Final = 500
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What a file comes to: agencies to admit and to change as they are to be, the connections of their own that new
    ones get, how many stand so already; and the rows at fault, for which nothing at all is done.

    It holds while `after` is the newest version.
    """

    after: VersionHead | None
    added: tuple[AgencyEntry, ...]
    changed: tuple[AgencyEntry, ...]
    connections: tuple[ConnectionEntry, ...]
    unchanged: int
    faults: tuple[RowFault, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """A plan that was carried out, and the version of the directory that tells of it; None if all stood so already."""

    plan: ImportPlan
    version: int | None


@dataclass(frozen=True, slots=True)
class AgencyImport:
    """The operator's hand on many agencies at once. `actor` names the person in the audit log."""

    database: Database
    publisher: DirectoryPublisher
    clock: Clock

    async def check(
        self, rows: Sequence[FileRow | RowFault], *, advance: Callable[[int], None] = lambda _rows: None
    ) -> ImportPlan:
        """What the rows of a file come to; nothing is written. `advance` is told of rows as they are judged."""
        judging = _Judging()
        after = await self.database.read(versions.head)
        for start in range(0, len(rows), _TOGETHER):
            part = rows[start : start + _TOGETHER]
            found = await self.database.read(partial(_found, rows=part, own=judging.made))
            for row in part:
                judging.judge(row, found)
            advance(len(part))
        return judging.plan(after)

    async def carry_out(
        self,
        rows: Sequence[FileRow | RowFault],
        *,
        actor: str,
        advance: Callable[[int], None] = lambda _rows: None,
    ) -> Imported:
        """Do what the rows of a file come to, all of it or nothing: nothing if one of them is at fault.

        Raises Unavailable: `directory-changed` if others change the directory all the time.
        """
        for _ in range(_TRIES):
            plan = await self.check(rows, advance=advance)
            if plan.faults or not (plan.added or plan.changed):
                return Imported(plan, None)
            # A version of all the country's agencies takes seconds to sign: the hub goes on meanwhile.
            prepared = await asyncio.to_thread(
                self.publisher.prepare,
                plan.after,
                self.clock(),
                agencies=(*plan.added, *plan.changed),
                connections=plan.connections,
            )
            if await self.database.write(partial(self._write, plan=plan, prepared=prepared, actor=actor)):
                return Imported(plan, prepared.version.number)
        raise Unavailable("directory-changed", "The directory is changed all the time.", mend="Try again.")

    def _write(self, transaction: Transaction, plan: ImportPlan, prepared: PreparedVersion, actor: str) -> bool:
        """False, and nothing is written, if another version came first."""
        head = versions.head(transaction)
        if head != plan.after:
            return False
        now = prepared.version.issued_at
        agency_rows.add_connections(transaction, plan.connections, at=now)
        agency_rows.add(transaction, plan.added, at=now)
        agency_rows.change(transaction, plan.changed)
        self.publisher.append(transaction, prepared)
        detail = {
            "added": len(plan.added),
            "changed": len(plan.changed),
            "connections": len(plan.connections),
            "version": prepared.version.number,
        }
        audit_log.note(transaction, AuditEntry(now, actor, "agencies.imported", "directory", detail))
        return True


def _found(transaction: Transaction, rows: Iterable[FileRow | RowFault], own: set[str]) -> AgencyRows:
    readable = [row for row in rows if isinstance(row, FileRow)]
    codes = [code.value for row in readable for code in (row.code, *row.older_codes)]
    # No database can be asked for every text; what is not asked for is unknown.
    ids = {name for row in readable if (name := row.connection or row.code.value).isprintable()}
    return agency_rows.find(transaction, codes, ids - own)


class _Judging:
    """Judges row after row; remembers what the file itself says, which a later row must not contradict."""

    def __init__(self) -> None:
        self.made: set[str] = set()
        self._lines: dict[str, int] = {}
        self._added: list[AgencyEntry] = []
        self._changed: list[AgencyEntry] = []
        self._connections: list[ConnectionEntry] = []
        self._unchanged = 0
        self._faults: list[RowFault] = []

    def plan(self, after: VersionHead | None) -> ImportPlan:
        return ImportPlan(
            after=after,
            added=tuple(self._added),
            changed=tuple(self._changed),
            connections=tuple(self._connections),
            unchanged=self._unchanged,
            faults=tuple(self._faults),
        )

    def judge(self, row: FileRow | RowFault, found: AgencyRows) -> None:
        if isinstance(row, RowFault):
            self._faults.append(row)
            return
        try:
            self._take(row, found)
        except Rejected as error:
            self._faults.append(RowFault.of(row.line, row.code.value, error))

    def _take(self, row: FileRow, found: AgencyRows) -> None:
        self._require_unclaimed(row, found)
        here = found.entries.get(row.code.value)
        if here is None:
            self._admit(row, found)
        else:
            self._amend(row, here)
        self._lines.update((code.value, row.line) for code in (row.code, *row.older_codes))

    def _require_unclaimed(self, row: FileRow, found: AgencyRows) -> None:
        own = (row.code, *row.older_codes)
        if len(set(own)) != len(own):
            raise Rejected("code-repeated", f"A code of {row.code} is given twice.", mend="Give each code once.")
        for code in own:
            if (line := self._lines.get(code.value)) is not None:
                raise Rejected(
                    "code-repeated", f"{code} stands in line {line} already.", mend="Give each code in one row."
                )
            holder = found.holders.get(code.value)
            if holder is not None and holder != row.code.value:
                raise Rejected(
                    "code-taken",
                    f"{code} is a code of {holder} already.",
                    mend=f"`congvan hub agency show {holder}` shows that agency; a code belongs to one.",
                )

    def _admit(self, row: FileRow, found: AgencyRows) -> None:
        connection = row.connection or row.code.value
        if row.connection is None:
            if connection in found.connections:
                raise Rejected(
                    "connection-exists",
                    f"There is a connection {connection} already.",
                    mend=f"Write {connection} in the column connection, if it serves this agency.",
                )
            self.made.add(connection)
            self._connections.append(ConnectionEntry(connection=connection, name=row.name))
        elif connection not in found.connections and connection not in self.made:
            raise Rejected(
                "connection-unknown",
                f"There is no connection {connection}.",
                mend="Add it first (`congvan hub connection add`), or put the agency that has it above this row.",
            )
        self._added.append(
            AgencyEntry(code=row.code, name=row.name, older_codes=_sorted(row.older_codes), connection=connection)
        )

    def _amend(self, row: FileRow, here: AgencyEntry) -> None:
        if here.status is EntryStatus.RETIRED:
            raise Rejected(
                "agency-retired",
                f"{here.code} is retired, which is for good.",
                mend="Leave the row out; an agency that succeeded it has a code of its own.",
            )
        if row.connection not in (None, here.connection):
            raise Rejected(
                "agency-moved",
                f"{here.connection} serves {here.code}, not {row.connection}.",
                mend=f"`congvan hub agency move {here.code} --to {row.connection}` takes along what waits for it.",
            )
        # An older code that the file leaves out stays: documents lie under it.
        older = _sorted({*here.older_codes, *row.older_codes})
        after = replace(here, name=row.name, older_codes=older)
        if after == here:
            self._unchanged += 1
        else:
            self._changed.append(after)


def _sorted(codes: Iterable[AgencyCode]) -> tuple[AgencyCode, ...]:
    return tuple(sorted(codes, key=lambda code: code.value))
