"""Expiry: a delivery that nobody fetched in its time ends, and its sender is told by a receipt of the hub."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Final

from hub.store import deliveries, messages, overdue
from hub.store.deliveries import DeliveryState
from hub.store.metadata import Transaction
from hub.usecases.endings import Doomed, Ending, Endings
from hub.usecases.lanes import LANES
from hub.usecases.meters import Meters
from runtime.clock import CertainClock
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
        self, database: Database, endings: Endings, meters: Meters, now: CertainClock, *, together: int = TOGETHER
    ) -> None:
        self._database = database
        self._endings = endings
        self._meters = meters
        self._now = now
        self._together = together

    async def run(self) -> None:
        """End all deliveries that are overdue. Raises Unavailable while it is in doubt which are."""
        while await self._end_some():
            pass

    async def _end_some(self) -> bool:
        now = await self._now()
        doomed, served = await self._database.read(partial(_overdue, at=now, most=self._together))
        if served:
            await self._database.write(partial(overdue.let_stay, entries=served, at=now))
        if doomed:
            ended = await self._endings.end(doomed, _EXPIRED)
            self._meters.deliveries.labels(_EXPIRED.state).inc(len(ended))
        return bool(doomed or served)


def _overdue(transaction: Transaction, at: datetime, most: int) -> tuple[list[Doomed], list[int]]:
    """The deliveries that end, up to `most`; and entries in which all is delivered, and handed over once more."""
    due = overdue.overdue(transaction, lanes=LANES, at=at, most=most)
    if not due:
        return [], []
    known = messages.numbered(transaction, {entry.message for entry in due})
    found = deliveries.find(transaction, [(entry.message, code) for entry in due for code in entry.codes])
    doomed = [
        Doomed(entry.entry, known[entry.message], code, found[entry.message, code].round)
        for entry in due
        for code in entry.codes
    ]
    return doomed, [entry.entry for entry in due if not entry.codes]
