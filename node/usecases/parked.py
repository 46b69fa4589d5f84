"""Parked hand-overs: what an adapter could never take, until a person has put right what was in the way."""

from __future__ import annotations

from node.store import directory as directory_store
from node.store import handovers
from node.store.metadata import Transaction
from node.usecases.naming import message_named
from node.usecases.work import Work
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.codes import AgencyCode


class ParkedHandovers:
    """Works beside the daemon; ring its doorbell afterwards."""

    def __init__(self, database: Database, wakeups: Wakeups, clock: Clock) -> None:
        self._database = database
        self._wakeups = wakeups
        self._clock = clock

    async def drive_again(self, name: str, code: AgencyCode | None = None) -> int:
        """Try a parked message once more, for one agency or for all that it is parked for; gives for how many.

        `name` is a message id, a unique beginning of one, or a DocumentId. Raises Rejected: `message-unknown`,
        `message-ambiguous`.
        """

        def drive(transaction: Transaction) -> int:
            message_id = message_named(transaction, name)
            entry = directory_store.agency(transaction, code) if code is not None else None
            return handovers.drive_again(transaction, message_id, entry.code if entry else code, at=self._clock())

        driven = await self._database.write(drive)
        if driven:
            self._wakeups.wake(Work.HANDOVER)
        return driven
