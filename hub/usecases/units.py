"""Units: what a connection declares and retires itself, below the agencies that it serves.

A code belongs to whoever serves the nearest agency above it: where a sub-unit has a connection of its own, nobody else
declares below it. The operator's policy says whether a wish is granted at once, waits for approval, or is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from hub.settings_units import UnitPolicy, UnitSettings
from hub.store import agencies, audit_log, units
from hub.store.agencies import ResolvedAgency
from hub.store.audit_log import AuditEntry
from hub.store.metadata import Transaction
from hub.store.units import UnitRequest, Wish
from hub.usecases.agency_changes import AgencyChanges
from hub.usecases.connections import require_name
from hub.usecases.directory import DirectoryPublisher
from runtime.clock import Clock
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, EntryStatus
from schemas.errors import Rejected, Unavailable
from transport.wire import UnitAnswer, UnitForm, UnitState

log = structlog.get_logger()

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Units:
    """The connections' hand on their units."""

    database: Database
    publisher: DirectoryPublisher
    settings: UnitSettings
    clock: Clock

    async def declare(self, connection: str, code: AgencyCode, unit: UnitForm) -> UnitAnswer:
        """Declare the unit `code`, or give it another name. The same again changes nothing.

        Raises Rejected: `units-not-allowed`, `unit-not-below`, `unit-refused`, `units-too-many`, `code-taken`,
        `agency-retired`, `name-malformed`. Unavailable: `too-many-requests`.
        """
        require_name(unit.name)
        request = UnitRequest(
            code=code,
            connection=connection,
            wish=Wish.DECLARE,
            name=unit.name,
            mail=_line("mail", unit.mail),
            phone=_line("phone", unit.phone),
            asked_at=self.clock(),
        )
        return await self._ask(request)

    async def retire(self, connection: str, code: AgencyCode) -> UnitAnswer:
        """Retire the unit `code`, for good. The same again changes nothing.

        Raises as `declare`, and `unit-unknown`.
        """
        request = UnitRequest(
            code=code, connection=connection, wish=Wish.RETIRE, name="", mail="", phone="", asked_at=self.clock()
        )
        return await self._ask(request)

    async def _ask(self, request: UnitRequest) -> UnitAnswer:
        if self.settings.policy is UnitPolicy.REFUSED:
            raise Rejected(
                "units-not-allowed",
                "This hub lets no connection change its units.",
                mend="Ask the hub's operator to do it.",
            )
        answer = await self.database.write(lambda transaction: self._judge(transaction, request))
        log.info(
            "unit.asked",
            wish=request.wish,
            code=request.code.value,
            connection=request.connection,
            state=answer.state,
        )
        return answer

    def _judge(self, transaction: Transaction, request: UnitRequest) -> UnitAnswer:
        done = UnitAnswer(code=request.code.value, state=UnitState.DONE)
        waits = UnitAnswer(code=request.code.value, state=UnitState.AWAITING_APPROVAL)
        require_below(transaction, request)
        entry = existing_unit(transaction, request)
        earlier = units.find(transaction, request.code)
        if entry is None and request.wish is Wish.RETIRE:
            if earlier is None:
                raise Rejected("unit-unknown", f"{request.code} was never declared.", mend="Check the code.")
            # It takes back what it asked for.
            units.remove(transaction, request.code)
            return done
        if stands(entry, request):
            units.remove(transaction, request.code)
            return done
        if earlier is not None and _is_same(earlier, request):
            if earlier.refused_at is None:
                return waits
            raise Rejected(
                "unit-refused",
                f"The hub's operator refused this for {request.code}: {earlier.reason}",
                mend="Ask for something else, or ask the operator.",
            )
        self._require_day(transaction, request)
        if entry is None:
            self._require_place(transaction, request)
        if self.settings.policy is UnitPolicy.AT_ONCE:
            units.remove(transaction, request.code)
            version = grant(
                transaction, request, self.publisher, request.asked_at, actor=f"connection {request.connection}"
            )
            return done.model_copy(update={"directory_version": version})
        self._keep(transaction, request, is_new=earlier is None or earlier.refused_at is not None)
        return waits

    def _keep(self, transaction: Transaction, request: UnitRequest, *, is_new: bool) -> None:
        most = self.settings.requests
        if is_new and units.count(transaction, request.connection) >= most:
            raise Unavailable(
                "too-many-requests",
                f"{most} requests of this connection wait for the hub's operator already.",
                mend="Wait until the operator has decided on some.",
            )
        units.put(transaction, request)
        units.forget_refused(transaction, request.connection, keep=most)
        detail = {"wish": request.wish, "name": request.name}
        audit_log.note(
            transaction,
            AuditEntry(request.asked_at, f"connection {request.connection}", "unit.asked", request.code.value, detail),
        )

    def _require_day(self, transaction: Transaction, request: UnitRequest) -> None:
        today = request.asked_at.replace(hour=0, minute=0, second=0, microsecond=0)
        if units.count_change(transaction, request.connection, today.toordinal()) > self.settings.changes_per_day:
            error = Unavailable(
                "too-many-requests",
                f"This connection made its {self.settings.changes_per_day} changes of units today.",
                mend="Go on tomorrow (UTC), or ask the hub's operator to import them.",
            )
            error.retry_after = (today + _DAY - request.asked_at).total_seconds()
            raise error

    def _require_place(self, transaction: Transaction, request: UnitRequest) -> None:
        most = self.settings.per_connection
        if units.agencies_of(transaction, request.connection) >= most:
            raise Rejected(
                "units-too-many",
                f"{request.connection} serves {most} agencies, or served them, which is the most here.",
                mend="Ask the hub's operator, who can add more.",
            )


def require_below(transaction: Transaction, request: UnitRequest) -> None:
    """Pass if the connection serves the nearest agency above the code, and that takes part; else `unit-not-below`."""
    above = [code.value for code in request.code.ancestors()]
    known = agencies.resolve(transaction, above)
    nearest = next(
        (known[code] for code in above if code in known and known[code].status is not EntryStatus.RETIRED), None
    )
    if nearest is None or nearest.connection != request.connection or nearest.reach is not EntryStatus.ACTIVE:
        raise Rejected(
            "unit-not-below",
            _why_not(request, nearest),
            mend="A connection changes units below its own agencies; the hub's operator adds any other.",
        )


def _why_not(request: UnitRequest, nearest: ResolvedAgency | None) -> str:
    if nearest is None:
        return f"No agency of the directory stands above {request.code}."
    if nearest.connection != request.connection:
        return f"The agency above {request.code} is {nearest.code}, which {request.connection} does not serve."
    return f"{nearest.code}, the agency above {request.code}, is {nearest.reach}."


def existing_unit(transaction: Transaction, request: UnitRequest) -> AgencyEntry | None:
    """The unit, if the directory has it already. Raises `code-taken` if it is not the connection's, `agency-retired`
    if it is to be declared again."""
    entry = agencies.find(transaction, request.code)
    if entry is None:
        return None
    if entry.code != request.code or entry.connection != request.connection:
        raise Rejected(
            "code-taken",
            f"{request.code} is a code of {entry.code}, which {entry.connection} serves.",
            mend="Choose another code, or ask the hub's operator.",
        )
    if entry.status is EntryStatus.RETIRED and request.wish is Wish.DECLARE:
        raise Rejected(
            "agency-retired",
            f"{entry.code} is retired, which is for good.",
            mend="Declare the unit that succeeded it under its own code.",
        )
    return entry


def stands(entry: AgencyEntry | None, request: UnitRequest) -> bool:
    """Whether the directory says already what is asked for."""
    if entry is None:
        return False
    if request.wish is Wish.RETIRE:
        return entry.status is EntryStatus.RETIRED
    return entry.name == request.name


def grant(
    transaction: Transaction, request: UnitRequest, publisher: DirectoryPublisher, now: datetime, *, actor: str
) -> int | None:
    """Do what is asked for, if it may still be done; gives the version that tells of it, None if it stands so."""
    require_below(transaction, request)
    entry = existing_unit(transaction, request)
    changes = AgencyChanges(publisher)
    if stands(entry, request):
        return None
    if entry is None:
        new = AgencyEntry(code=request.code, name=request.name, connection=request.connection)
        return changes.admit(transaction, new, now, actor=actor)
    if request.wish is Wish.RETIRE:
        return changes.set_status(transaction, entry, EntryStatus.RETIRED, now, actor=actor)
    return changes.rename(transaction, entry, request.name, now, actor=actor)


def _is_same(earlier: UnitRequest, request: UnitRequest) -> bool:
    return (earlier.connection, earlier.wish, earlier.name) == (request.connection, request.wish, request.name)


def _line(element: str, text: str) -> str:
    if text and not text.isprintable():
        raise Rejected("request-malformed", f"{element}: it is not one printable line.", element=element)
    return text
