"""Events pushed as they happen: the place in the node's log is kept, so that a restart forgets none."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from random import Random
from typing import Final

import structlog

from adapters.event_json import event_json
from adapters.sdk import Accepted, Later, NodeApi
from adapters.webhook.pushing import Pusher
from adapters.webhook.shapes import PushedEvents
from runtime.backoff import backoff
from runtime.files import storage_errors, write_file
from runtime.lifecycle import sleep_unless
from schemas.errors import CongvanError

log = structlog.get_logger()

_PAGE: Final = 100
_PATIENCE: Final = 60.0
_FIRST_WAIT: Final = 5.0
_LONGEST_WAIT: Final = 900.0


class EventFollower:
    """Pushes the node's events, a page at a time, in order. `place` is the file that holds the last number taken."""

    def __init__(self, node: NodeApi, pusher: Pusher, place: Path, *, chance: Random) -> None:
        self._node = node
        self._pusher = pusher
        self._place = place
        self._chance = chance

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until `stop` is set. What the software does not take is pushed again; it holds up what comes later."""
        after = await self._begin()
        failures = 0
        while not stop.is_set():
            try:
                pushed = await self._step(after, stop)
            except CongvanError as error:
                pushed = Later(str(error))
            if isinstance(pushed, int):
                after, failures = pushed, 0
                continue
            failures += 1
            wait = backoff(failures, first=_FIRST_WAIT, longest=_LONGEST_WAIT, jitter=0.2, chance=self._chance)
            log.warning("webhook.events-wait", after=after, reason=pushed.reason, seconds=round(pushed.seconds or wait))
            await sleep_unless(stop, pushed.seconds or wait)

    async def _step(self, after: int, stop: asyncio.Event) -> int | Later:
        """Push the next page; the number of its last event, or why it has to wait."""
        waiting = asyncio.ensure_future(self._node.events(after=after, limit=_PAGE, wait_seconds=_PATIENCE))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((waiting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                return after
            found = waiting.result()
        finally:
            waiting.cancel()
            stopping.cancel()
        if not found:
            return after
        last = found[-1].number
        body = PushedEvents(events=tuple(map(event_json, found)), last=last).model_dump_json(exclude_none=True)
        outcome = await self._pusher.push(body.encode(), f"events-{found[0].number}-{last}")
        if not isinstance(outcome, Accepted):
            # An event is refused by nobody: whatever the answer was, it has not been taken.
            return outcome if isinstance(outcome, Later) else Later(outcome.reason)
        await asyncio.to_thread(write_file, self._place, json.dumps({"last": last}).encode())
        return last

    async def _begin(self) -> int:
        """The last number taken; at the first start what there is by then, which nobody asked to be told."""
        with storage_errors(self._place):
            if self._place.exists():
                return int(json.loads(await asyncio.to_thread(self._place.read_bytes))["last"])
        last = await self._node.last_event()
        await asyncio.to_thread(write_file, self._place, json.dumps({"last": last}).encode())
        return last
