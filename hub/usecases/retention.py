"""Retention: what a message brought is dropped a set time after its last delivery ended; what it was stays.

Each step is a short transaction that leaves everything consistent, and the next begins at what the database says is
due: a purge may be killed anywhere and goes on. A file goes after the commit that says that nobody needs it, in a
transaction that sees that still nobody does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

import structlog

from hub.settings_exchange import RetentionSettings
from hub.store import retention
from hub.store.metadata import Transaction
from hub.store.retention import Dropped, DueMessage
from hub.usecases.leavings import Leavings
from runtime.clock import CertainClock
from runtime.database import Database
from schemas.errors import Rejected
from schemas.limits import MIB

log = structlog.get_logger()

#: Messages looked at in one step, the bytes that it drops from the database, and the entries.
_MESSAGES: Final = 50
_BYTES: Final = 4 * MIB
_ENTRIES: Final = 500


class Retention:
    """Drops what was kept long enough."""

    def __init__(
        self, database: Database, leavings: Leavings, *, now: CertainClock, settings: RetentionSettings
    ) -> None:
        self._database = database
        self._leavings = leavings
        self._now = now
        self._keep = settings.payload_time

    async def step(self) -> bool:
        """Drop some of what is due; False if nothing is. Raises Unavailable while it is in doubt what is."""
        if self._keep is None:
            return False
        now = await self._now()
        before = now - self._keep
        due = _first(await self._database.read(partial(retention.due, before=before, most=_MESSAGES)))
        if not due:
            return False
        dropped = await self._database.write(partial(_drop, due=due, before=before, at=now))
        if dropped.messages:
            log.info("payloads.purged", messages=dropped.messages, files=len(dropped.files))
        await self._leavings.drop_unnamed(dropped.files)
        return True


def payload_purged(what: str, at: datetime) -> Rejected:
    """The answer to whoever asks for bytes that were dropped `at` that time."""
    return Rejected(
        "payload-purged",
        f"The bytes of the {what} were dropped on {at:%Y-%m-%d} by the retention rule.",
        mend="Ask the sender for the document; its receipts and its trace are still here.",
    )


def _first(due: Sequence[DueMessage]) -> list[DueMessage]:
    """As many as one transaction drops quickly, one at least."""
    room = _BYTES
    taken: list[DueMessage] = []
    for message in due:
        room -= message.weight
        if taken and room < 0:
            break
        taken.append(message)
    return taken


def _drop(transaction: Transaction, due: Sequence[DueMessage], before: datetime, at: datetime) -> Dropped:
    # A delivery that is open now cannot have ended before now.
    retention.keep(
        transaction,
        {each.message: each.ended_at or at for each in due if each.ended_at is None or each.ended_at > before},
    )
    # Asked again: since the snapshot, a delivery may have been offered anew.
    ended = [each.message for each in due if each.ended_at is not None and each.ended_at <= before]
    over = retention.over(transaction, ended)
    retention.keep(transaction, dict.fromkeys(set(ended).difference(over), at))
    dropped = retention.drop_payloads(transaction, over, at=at)
    if retention.drop_receipt_entries(transaction, over, before=before, most=_ENTRIES):
        retention.finish(transaction, over, at=at)
    return dropped
