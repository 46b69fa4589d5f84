"""Expiry: a delivery that nobody fetched in its time ends, and its sender is told by a receipt of the hub."""

from __future__ import annotations

from typing import Final

from hub.store import mailboxes, messages
from hub.store.deliveries import DeliveryState
from hub.store.mailboxes import OverdueEntry
from hub.store.messages import KnownMessage
from hub.store.metadata import Transaction
from hub.usecases.endings import Doomed, Ending, Endings
from hub.usecases.lanes import LANES
from hub.usecases.meters import Meters
from runtime.clock import Clock
from runtime.database import Database
from schemas.receipts import Reason

#: Deliveries that end in one transaction: a circular to thousands does not keep others from the database.
TOGETHER: Final = 200

_EXPIRED: Final = Ending(
    DeliveryState.EXPIRED,
    "delivery.expired",
    Reason("expired", "The recipient's node did not fetch the message in its time."),
)


class Expiry:
    """Ends overdue deliveries, those of the most urgent lane first."""

    def __init__(
        self, database: Database, endings: Endings, meters: Meters, clock: Clock, *, together: int = TOGETHER
    ) -> None:
        self._database = database
        self._endings = endings
        self._meters = meters
        self._clock = clock
        self._together = together

    async def run(self) -> None:
        """End all deliveries that are overdue."""
        while await self._end_some():
            pass

    async def _end_some(self) -> bool:
        due, known = await self._database.read(self._overdue)
        doomed = [Doomed(entry.entry, known[entry.message], code) for entry in due for code in entry.codes]
        if doomed:
            ended = await self._endings.end(doomed, _EXPIRED)
            self._meters.deliveries.labels(_EXPIRED.state).inc(len(ended))
        return bool(doomed)

    def _overdue(self, transaction: Transaction) -> tuple[list[OverdueEntry], dict[int, KnownMessage]]:
        due = mailboxes.overdue(transaction, lanes=LANES, at=self._clock(), most=self._together)
        return due, messages.numbered(transaction, {entry.message for entry in due}) if due else {}
