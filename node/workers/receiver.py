"""The receiver: polls the mailbox, one answer after the other; downloads run beside it, and while it works off a
backlog, a poll for express mail (`node.workers.express_receiver`).

While the hub pushes it polls now and then, so that nothing depends on pushes.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from random import Random
from typing import Final

import structlog

from node.settings_exchange import ReceiverSettings
from node.usecases.backoff import reconnect_after
from node.usecases.hub_watch import HubWatch
from node.usecases.intake import Intake
from node.usecases.push_contact import PushContact
from node.workers.express_receiver import MANY
from runtime.clock import Clock
from runtime.lifecycle import sleep_unless
from schemas.errors import CongvanError, Unavailable
from transport.client import HubClient
from transport.wire import MailboxAnswer

log = structlog.get_logger()

#: Seconds between two questions that are answered with nothing.
_HASTE: Final = 1.0


class Receiver:
    """A service. It is always in touch with the hub, so it is the one that knows whether the hub answers.

    `busy` is set while it works off a backlog.
    """

    def __init__(
        self,
        hub: HubClient,
        intake: Intake,
        pushes: PushContact,
        *,
        busy: asyncio.Event,
        watch: HubWatch,
        settings: ReceiverSettings,
        clock: Clock,
        chance: Random,
    ) -> None:
        self._hub = hub
        self._intake = intake
        self._pushes = pushes
        self._busy = busy
        self._watch = watch
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._polled_at: datetime | None = None

    async def run(self, stop: asyncio.Event) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as downloads:
            while not stop.is_set():
                rest = self._pushes.rest(self._polled_at)
                if rest > 0:
                    await sleep_unless(stop, rest)
                    continue
                try:
                    # The first answer tells whether sending may begin. That needs no space, so it brings no mail.
                    is_first = not self._intake.compared.is_set()
                    if not is_first:
                        self._intake.require_space()
                    asked_at = loop.time()
                    answer = await self._asked(
                        stop,
                        wait=0.0 if is_first or self._pushes.works else self._settings.wait,
                        limit=0 if is_first else self._settings.batch,
                    )
                    if answer is None:
                        break
                    self._note_backlog(len(answer.entries), stop)
                    await self._intake.take(answer, downloads)
                    failures, self._polled_at = 0, self._clock()
                    if not (answer.entries or is_first) and loop.time() - asked_at < _HASTE:
                        # A hub that is stopping, or a proxy, answers at once with nothing: not to be asked in a circle.
                        await sleep_unless(stop, _HASTE * self._chance.uniform(0.5, 1.5))
                except Exception as error:
                    failures += 1
                    asked_for = error.retry_after if isinstance(error, Unavailable) else None
                    spread = self._settings.spread if self._watch.silent_since is not None else 0.0
                    seconds = reconnect_after(failures, self._settings.backoff, spread, self._chance, asked=asked_for)
                    if isinstance(error, CongvanError):
                        log.warning("receiver.paused", seconds=round(seconds, 1), rule=error.code, reason=error.message)
                    else:
                        # A fault of ours: the entries are offered again, one by one, and the others get through.
                        log.exception("receiver.failed", seconds=round(seconds, 1))
                    await sleep_unless(stop, seconds)

    def _note_backlog(self, entries: int, stop: asyncio.Event) -> None:
        if entries >= MANY:
            self._busy.set()
        elif not stop.is_set():
            # At a stop the event wakes whoever waits for it.
            self._busy.clear()

    async def _asked(self, stop: asyncio.Event, *, wait: float, limit: int) -> MailboxAnswer | None:
        """The next answer of the mailbox; None if `stop` was set while waiting for it."""
        poll = asyncio.ensure_future(self._hub.mailbox(wait=wait, limit=limit))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({poll, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not poll.done():
                return None
            answer = poll.result()
        except CongvanError as error:
            await self._watch.lost(error)
            raise
        finally:
            for waiting in (poll, stopping):
                waiting.cancel()
        await self._watch.heard(answer)
        return answer
