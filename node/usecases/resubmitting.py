"""Resubmitting: a message that was accepted goes to a restored hub once more, with the same bytes.

A hub that has it answers with the acceptance that it stored; one that lacks it accepts it anew. What the outbox knows
of the message stays as it is. The order among nodes is anyone's: a status may come before its document is there again.
So no refusal is for good until the time is over in which others bring again what they had sent.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from random import Random
from typing import Final

import structlog

from node.settings_exchange import SenderSettings
from node.store import resubmissions, standing
from node.store.metadata import Transaction
from node.store.sending_queue import ReadyMessage
from node.store.troubles import trouble_of
from node.usecases.backoff import wait_after
from node.usecases.hub_watch import is_the_hubs
from node.usecases.selection import follow_acceptance
from node.usecases.sending import Sending
from runtime.clock import Clock
from runtime.database import Database
from schemas.errors import CongvanError, Unavailable

log = structlog.get_logger()

#: Nothing can be submitted, now or later: the bytes are not here any more, or the sender had set a time that is over.
#: What was attested of the message before holds, and stands in the outbox.
_NEVER: Final = frozenset({"message-unknown", "payload-purged", "already-expired"})


class Resubmitting:
    """Submits messages once more, one at a call. `window` is for how long refusals are tried again."""

    def __init__(
        self,
        database: Database,
        sending: Sending,
        *,
        settings: SenderSettings,
        window: timedelta,
        clock: Clock,
        chance: Random,
    ) -> None:
        self._database = database
        self._sending = sending
        self._backoff = settings.backoff
        self._window = window
        self._clock = clock
        self._chance = chance

    async def submit(self, message: ReadyMessage) -> None:
        """Bring a message to the hub again, or put it off.

        Raises Unavailable if the trouble is the hub's or our own standing there: then others wait as well.
        """
        try:
            brought = await self._sending.bring(message)
        except CongvanError as error:
            await self._note_failure(message, error)
            return

        def end(transaction: Transaction) -> None:
            # A hub that lacked the message has resolved its selectors anew.
            follow_acceptance(transaction, brought.receipt, at=self._clock())
            resubmissions.end(transaction, message.message_id, epoch=brought.epoch)

        await self._database.write(end)
        log.info("message.resubmitted", message=message.message_id)

    async def _note_failure(self, message: ReadyMessage, error: CongvanError) -> None:
        hubs = is_the_hubs(error)
        if not (isinstance(error, Unavailable) or hubs) and (error.code in _NEVER or await self._is_over()):
            await self._database.write(partial(resubmissions.end, message_id=message.message_id, epoch=None))
            log.error("resubmission.refused", message=message.message_id, rule=error.code, reason=error.message)
            return
        asked = error.retry_after if isinstance(error, Unavailable) else None
        wait = wait_after(message.attempts + 1, self._backoff, self._chance, asked=asked)
        due_at = self._clock() + timedelta(seconds=wait)
        await self._database.write(
            partial(resubmissions.put_off, message_id=message.message_id, trouble=trouble_of(error), due_at=due_at)
        )
        log.warning("resubmission.put-off", message=message.message_id, rule=error.code, seconds=round(wait, 1))
        if hubs:
            raise Unavailable(error.code, error.message, mend=error.mend) from error

    async def _is_over(self) -> bool:
        known = await self._database.read(standing.of_hub)
        return known.restored_at is None or self._clock() - known.restored_at > self._window
