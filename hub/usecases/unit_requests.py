"""What waits for the operator's word: units that connections want to declare or retire."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial
from typing import Final

from hub.store import audit_log, units
from hub.store.audit_log import AuditEntry
from hub.store.metadata import Transaction
from hub.store.units import UnitRequest
from hub.usecases.connections import PAGE
from hub.usecases.directory import DirectoryPublisher
from hub.usecases.units import grant
from runtime.clock import Clock
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.errors import Rejected

#: Characters of a reason.
_LONGEST_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class Granted:
    """A request that was granted, and the directory's version that tells of it; None if it stood so already."""

    request: UnitRequest
    version: int | None


@dataclass(frozen=True, slots=True)
class UnitRequests:
    """The operator's hand on the requests. `actor` names the person in the audit log."""

    database: Database
    publisher: DirectoryPublisher
    clock: Clock

    async def listing(self, *, refused: bool = False) -> AsyncGenerator[UnitRequest, None]:
        """The open requests, with the refused ones if wanted, by code, read page by page."""
        after = ""
        while found := await self.database.read(partial(units.page, after=after, limit=PAGE, refused=refused)):
            for request in found:
                yield request
            after = found[-1].code.value

    async def approve(self, code: AgencyCode, *, actor: str) -> Granted:
        """Grant the request for `code`, also one that was refused.

        Raises `unit-request-unknown`; and as `hub.usecases.units.grant` if it may not be done any longer.
        """
        now = self.clock()

        def work(transaction: Transaction) -> Granted:
            request = _existing(transaction, code)
            version = grant(transaction, request, self.publisher, now, actor=actor)
            units.remove(transaction, code)
            detail = {"connection": request.connection, "wish": request.wish}
            audit_log.note(transaction, AuditEntry(now, actor, "unit.approved", code.value, detail))
            return Granted(request, version)

        return await self.database.write(work)

    async def refuse(self, code: AgencyCode, reason: str, *, actor: str) -> UnitRequest:
        """Refuse the request for `code`; who asks for the same again is told `reason`. Raises `unit-request-unknown`,
        `reason-malformed`."""
        now = self.clock()
        if not (reason.strip() and reason.isprintable() and len(reason) <= _LONGEST_REASON):
            raise Rejected(
                "reason-malformed",
                f"A reason has 1 to {_LONGEST_REASON} printable characters on one line.",
                mend="Say in one sentence why.",
            )

        def work(transaction: Transaction) -> UnitRequest:
            request = _existing(transaction, code)
            units.refuse(transaction, code, reason, at=now)
            detail = {"connection": request.connection, "wish": request.wish, "reason": reason}
            audit_log.note(transaction, AuditEntry(now, actor, "unit.refused", code.value, detail))
            return request

        return await self.database.write(work)


def _existing(transaction: Transaction, code: AgencyCode) -> UnitRequest:
    found = units.find(transaction, code)
    if found is None:
        raise Rejected(
            "unit-request-unknown",
            f"Nothing is asked for {code}.",
            mend="`congvan hub agency requests` lists what is.",
        )
    return found
