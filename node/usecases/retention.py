"""Retention: what a message brought is dropped some time after all of it ended, if the agency wants that.

Each step is a short transaction that leaves everything consistent, and the next begins at what the database says is
due: a purge may be killed anywhere and goes on. A file goes after the commit that says that nobody needs it, in a
transaction that sees that still nobody does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from node.settings_exchange import RetentionSettings
from node.store import messages as message_store
from node.store import retention
from node.store.metadata import Transaction
from node.store.retention import Dropped, DueMessage, Side
from node.usecases.leavings import Leavings
from runtime.clock import Clock
from runtime.database import Database
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected
from schemas.limits import MIB

log = structlog.get_logger()

#: Messages looked at in one step, and the bytes that it drops from the database.
_MESSAGES: Final = 50
_BYTES: Final = 4 * MIB


class Retention:
    """Drops what was kept long enough. `window` is how old a backup may be that the hub was restored from."""

    def __init__(
        self, database: Database, leavings: Leavings, *, clock: Clock, settings: RetentionSettings, window: timedelta
    ) -> None:
        self._database = database
        self._leavings = leavings
        self._clock = clock
        # What such a backup lacks is brought again: until then no day counts.
        sent = None if settings.sent_time is None else window + settings.sent_time
        self._times = {Side.SENDING: sent, Side.HANDING_OVER: settings.received_time}

    async def step(self) -> bool:
        """Drop some of what is due; False if nothing is."""
        worked = [await self._step(side, time) for side, time in self._times.items() if time is not None]
        return any(worked)

    async def _step(self, side: Side, time: timedelta) -> bool:
        now = self._clock()
        before = now - time
        patience = before - time
        look = partial(retention.due, side=side, before=before, patience=patience, most=_MESSAGES)
        due = _first(await self._database.read(look))
        if not due:
            return False
        drop = partial(_drop, side=side, due=due, before=before, patience=patience, at=now)
        dropped = await self._database.write(drop)
        if dropped.messages:
            log.info("payloads.purged", messages=dropped.messages, files=len(dropped.files))
        await self._leavings.drop_unneeded(dropped.files)
        return True


def sealed_bytes(transaction: Transaction, message_id: Sha256Hex) -> bytes:
    """The envelope of a known message as it was signed. Raises Rejected: `payload-purged`, `message-unknown`."""
    sealed = message_store.sealed(transaction, message_id)
    if sealed is not None:
        return sealed
    at = retention.purged_at(transaction, message_id)
    if at is None:
        raise Rejected("message-unknown", f"The bytes of the message {message_id} are not here.")
    raise Rejected(
        "payload-purged",
        f"The bytes of the message {message_id} were dropped on {at:%Y-%m-%d} by the retention rule.",
        mend="Look for the document in the agency's software; what became of it, and the receipts, are still here.",
    )


def _first(due: Sequence[DueMessage]) -> list[DueMessage]:
    """As many as one transaction drops quickly, one at least."""
    room = _BYTES
    taken: list[DueMessage] = []
    for message in due:
        room -= message.sealed_bytes
        if taken and room < 0:
            break
        taken.append(message)
    return taken


def _drop(
    transaction: Transaction,
    side: Side,
    due: Sequence[DueMessage],
    *,
    before: datetime,
    patience: datetime,
    at: datetime,
) -> Dropped:
    # What is open now cannot have ended before now.
    later = {each.message_id: each.ended_at or at for each in due if each.ended_at is None or each.ended_at > before}
    retention.keep(transaction, side, later)
    ended = [each.message_id for each in due if each.message_id not in later]
    return retention.let_go(transaction, side, ended, at=at, patience=patience)
