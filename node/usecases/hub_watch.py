"""Whether the hub can be reached: noted for people, and for workers that wait until it can be again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from node.store import contact
from node.store.metadata import Transaction
from node.store.troubles import trouble_of
from node.usecases.work import Work
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.errors import CongvanError, Unavailable
from transport.wire import MailboxAnswer

log = structlog.get_logger()

#: Errors that say nothing of the message that was on its way: the hub, the way to it, or our own standing there.
HUB_TROUBLES: Final = frozenset({
    "hub-unreachable", "hub-certificate", "hub-failed", "hub-answer", "not-a-hub", "internal", "storage-full",
    "unauthenticated", "forbidden", "connection-suspended", "not-found", "method-not-allowed",
    "hub-stopping", "clock-differs", "database-unreachable", "database-outcome-unknown", "database-connections",
    "database-read-only",
})  # fmt: skip

#: How often an unbroken contact is written down.
_NOTE_EVERY: Final = timedelta(seconds=30)


def is_the_hubs(error: CongvanError) -> bool:
    """Whether `error`, met at the hub, would have met any other message as well: then all of them wait."""
    return error.code in HUB_TROUBLES


class HubWatch:
    """What the receiver, which is always in touch with the hub, sees of it."""

    def __init__(self, database: Database, wakeups: Wakeups, clock: Clock, *, clock_tolerance: float) -> None:
        self._database = database
        self._wakeups = wakeups
        self._clock = clock
        self._tolerance = clock_tolerance
        self._noted_at: datetime | None = None
        self._silent_since: datetime | None = None
        self._clock_alerted = False

    @property
    def silent_since(self) -> datetime | None:
        """Since when the hub cannot be reached; None while it can, or has not been tried."""
        return self._silent_since

    async def heard(self, answer: MailboxAnswer) -> None:
        """The hub answered. Who waited for it goes on at once."""
        now = self._clock()
        ahead = (now - answer.hub_time).total_seconds()
        self._alert_of_clock(ahead)
        if self._silent_since is not None:
            log.info("hub.back", silent_since=self._silent_since)
            self._silent_since = None
            self._noted_at = None
            self._wakeups.wake(Work.RECOVERY)
        if self._noted_at is None or not timedelta(0) <= now - self._noted_at < _NOTE_EVERY:
            self._noted_at = now
            await self._note(
                partial(
                    contact.note_answer,
                    at=now,
                    epoch=answer.epoch,
                    clock_ahead=ahead,
                    directory_latest=answer.directory_version,
                )
            )

    async def lost(self, error: CongvanError) -> None:
        """The hub did not answer, or not as a hub does."""
        if self._silent_since is None:
            self._silent_since = self._clock()
            log.warning("hub.lost", rule=error.code, reason=error.message, mend=error.mend)
        await self._note(partial(contact.note_silence, trouble=trouble_of(error), since=self._silent_since))

    async def _note(self, note: Callable[[Transaction], None]) -> None:
        try:
            await self._database.write(note)
        except Unavailable as error:
            # Only people read the note; the exchange itself says where it hurts.
            log.warning("contact.not-noted", rule=error.code, reason=error.message)

    def _alert_of_clock(self, ahead: float) -> None:
        wrong = abs(ahead) > self._tolerance
        if wrong and not self._clock_alerted:
            log.error(
                "clock.differs", ahead_seconds=round(ahead, 3), mend="Correct this machine's clock, or tell the hub."
            )
        self._clock_alerted = wrong
