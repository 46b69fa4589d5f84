"""The receiver of express mail: while the receiver works off a backlog, a poll of its own asks for express mail alone.

The hub hands out the most urgent first, but whoever is in the middle of a batch does not ask: an express document would
wait until all of that batch is judged and in the record. On an idle system the receiver itself waits for it, and there
is no second poll.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

import structlog

from node.settings_exchange import ReceiverSettings
from node.usecases.backoff import wait_after
from node.usecases.intake import Intake
from node.workers.stopping import woken_by
from runtime.lifecycle import sleep_unless
from schemas.errors import CongvanError, Unavailable
from transport.client import HubClient
from transport.wire import MailboxAnswer

log = structlog.get_logger()

#: A batch of so many entries is a backlog: fewer are worked off before a second poll would have got anywhere.
MANY: Final = 8

#: Express mail is taken in so many at a time: the first of them does not wait for many others.
_FEW: Final = 4

#: Seconds that such a poll waits at most. When it ends and the backlog is gone, there is no other.
_WAIT: Final = 10.0

#: Seconds between two questions that are answered with nothing at once, as a hub does that is stopping.
_HASTE: Final = 1.0


class ExpressReceiver:
    """A service. `busy` is set while the receiver works off a backlog, and is the receiver's to set and clear."""

    def __init__(
        self,
        hub: HubClient,
        intake: Intake,
        busy: asyncio.Event,
        *,
        settings: ReceiverSettings,
        chance: Random,
    ) -> None:
        self._hub = hub
        self._intake = intake
        self._busy = busy
        self._settings = settings
        self._chance = chance

    async def run(self, stop: asyncio.Event) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        async with woken_by(stop, self._busy), asyncio.TaskGroup() as downloads:
            while True:
                await self._busy.wait()
                if stop.is_set():
                    break
                asked_at = loop.time()
                try:
                    self._intake.require_space()
                    answer = await self._asked(stop)
                    if answer is None:
                        break
                    await self._intake.take(answer, downloads)
                    failures = 0
                    if not answer.entries and loop.time() - asked_at < _HASTE:
                        await sleep_unless(stop, _HASTE)
                except Exception as error:
                    failures += 1
                    asked_for = error.retry_after if isinstance(error, Unavailable) else None
                    seconds = wait_after(failures, self._settings.backoff, self._chance, asked=asked_for)
                    if isinstance(error, CongvanError):
                        # The receiver meets the same, and tells people of it.
                        log.info("express-receiver.paused", seconds=round(seconds, 1), rule=error.code)
                    else:
                        log.exception("express-receiver.failed", seconds=round(seconds, 1))
                    await sleep_unless(stop, seconds)

    async def _asked(self, stop: asyncio.Event) -> MailboxAnswer | None:
        """The next answer of the mailbox; None if `stop` was set while waiting for it."""
        wait = min(_WAIT, self._settings.wait)
        poll = asyncio.ensure_future(self._hub.mailbox(wait=wait, limit=_FEW, express=True))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({poll, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return poll.result() if poll.done() else None
        finally:
            for waiting in (poll, stopping):
                waiting.cancel()
