"""Replays: a node that was put back to a backup gets again what it took, and learns what it sent, since then."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Final

import structlog

from hub.store import replays
from hub.usecases.places import Places
from hub.usecases.waking import mailbox_of
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.envelope import is_sha256_hex
from schemas.errors import Rejected
from transport.wire import ReplaysAnswer, SentAnswer

log = structlog.get_logger()

#: Entries that one request opens again, and messages that one answer names.
_TOGETHER: Final = 500


class Replays:
    """Answers restored nodes: of each connection, one request at a time."""

    def __init__(self, database: Database, wakeups: Wakeups, clock: Clock) -> None:
        self._database = database
        self._wakeups = wakeups
        self._clock = clock
        self._places = Places(1, "requests for replays")

    async def reopen(self, connection: str, after: int) -> ReplaysAnswer:
        """Offer again a batch of what `connection` closed under a later mark than `after`.

        Asked again, it goes on; an entry that is open already is not opened twice.
        """
        with self._places.take(connection):
            done = await self._database.write(
                partial(replays.reopen, connection=connection, after=after, most=_TOGETHER, at=self._clock())
            )
        self._wakeups.wake(mailbox_of(connection))
        log.warning("node.restored", connection=connection, after=after, reopened=done.entries)
        for message_id in done.purged:
            log.error("replay.purged", connection=connection, message=message_id)
        return ReplaysAnswer(reopened=done.entries, purged=done.purged, finished=done.finished)

    async def sent(self, connection: str, since: datetime | None, after: int) -> SentAnswer:
        """Names messages of `connection` that were accepted at `since` or later, from behind number `after` on."""
        found = await self._database.read(
            partial(replays.sent_since, connection=connection, at=since, after=after, most=_TOGETHER)
        )
        more = len(found) == _TOGETHER
        return SentAnswer(
            messages=tuple(message.message_id for message in found), next=found[-1].message if more else None
        )

    async def envelope(self, connection: str, message_id: str) -> bytes:
        """The bytes of a message that `connection` sent, or is offered or has taken as a recipient.

        Raises Rejected: `message-unknown`, as for one that does not exist; `payload-purged`.
        """
        known, body = False, None
        if is_sha256_hex(message_id):
            known, body = await self._database.read(
                partial(replays.envelope_for, message_id=message_id, connection=connection)
            )
        if not known:
            raise Rejected("message-unknown", "There is no such message.", mend="Check the message id.")
        if body is None:
            raise Rejected("payload-purged", "The message's bytes were dropped by the retention rule.")
        return body
