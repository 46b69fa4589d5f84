"""The adapter: a source that empties out/, a destination that fills in/."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar

import structlog

from adapters import spool
from adapters.filedrop.committed_keys import open_keys
from adapters.filedrop.folders import DropFolders
from adapters.filedrop.receiving import Inbox, NotCarried
from adapters.filedrop.sending import Outbox
from adapters.filedrop.settings import FiledropSettings
from adapters.filedrop.watching import Watcher
from adapters.sdk import Accepted, AdapterContext, Delivery, DeliveryKey, Guarantee, Health, Later, Never, Outcome
from runtime.files import make_private_folder, storage_errors
from runtime.lifecycle import sleep_unless
from runtime.settings import settings_of
from schemas.errors import CongvanError

log = structlog.get_logger()

#: A look at a hundred thousand items takes a second: the pause after a look is at least so many times as long.
_REST = 10


@dataclass(frozen=True, slots=True)
class Ways:
    """Both ways of a drop whose folders are there."""

    inbox: Inbox
    outbox: Outbox


class Filedrop:
    """`adapters.sdk.Adapter` over the folders of one drop. Made by `open_filedrop`."""

    guarantee: ClassVar[Guarantee] = Guarantee.EXACTLY_ONCE

    def __init__(
        self,
        open_ways: Callable[[], Awaitable[Ways]],
        ways: Ways | None,
        *,
        poll_seconds: float,
        resources: contextlib.AsyncExitStack,
    ) -> None:
        self._open_ways = open_ways
        self._ways = ways
        self._poll = poll_seconds
        self._resources = resources
        self._handing_over: dict[DeliveryKey, asyncio.Task[None]] = {}
        self._trouble: str | None = None

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Put the message into in/. A call that is cancelled leaves the work running: the next one joins it."""
        if self._ways is None:
            return Later(f"The folders cannot be reached: {self._trouble}")
        task = self._handing_over.get(delivery.key)
        if task is None:
            task = asyncio.create_task(self._ways.inbox.put(delivery), name=f"filedrop.in {delivery.key}")
            self._handing_over[delivery.key] = task
            task.add_done_callback(lambda ended: self._forget(delivery.key, ended))
        try:
            await asyncio.shield(task)
        except NotCarried as error:
            return Never(str(error))
        return Accepted()

    def _forget(self, key: DeliveryKey, ended: asyncio.Task[None]) -> None:
        del self._handing_over[key]
        if not ended.cancelled():
            # Whoever asked may be gone; the error is then nobody's, and the next try finds its own.
            ended.exception()

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            began = time.monotonic()
            look_seconds = 0.0
            try:
                if self._ways is None:
                    self._ways = await self._open_ways()
                    log.info("filedrop.opened")
                outbox = self._ways.outbox
                await outbox.send_what_is_ready(began, stop)
                look_seconds = outbox.look_seconds
                self._trouble = None
            except CongvanError as error:
                # The folder itself: a share that is away comes back.
                self.note(error)
            await sleep_unless(stop, max(self._poll, _REST * look_seconds))

    def note(self, error: CongvanError) -> None:
        """The folder cannot be reached: say so, once."""
        if self._trouble is None:
            log.warning("filedrop.unreadable", rule=error.code, reason=str(error))
        self._trouble = str(error)

    async def health(self) -> Health:
        if self._trouble is not None:
            return Health(ok=False, detail=self._trouble)
        outbox = self._ways.outbox if self._ways else None
        if outbox is not None and outbox.retries:
            name, retry = next(iter(outbox.retries.items()))
            return Health(
                ok=False, detail=f"{len(outbox.retries)} items wait in out/, among them {name!r}: {retry.reason}"
            )
        return Health(ok=True, detail=f"{outbox.waiting if outbox else 0} items in out/")

    async def close(self) -> None:
        await asyncio.gather(*self._handing_over.values(), return_exceptions=True)
        await self._resources.aclose()


async def open_filedrop(context: AdapterContext) -> Filedrop:
    """Open the drop that `context.settings` describe; its keys and its spool stand in `context.folder`.

    A `folder` of its own, which may be a share, need not be there: it is opened when it is. Raises `settings-invalid`,
    `drop-folders-apart`, and the errors of storage.
    """
    settings = settings_of(FiledropSettings, context.settings, source=f"[adapters.{context.name}]")
    private = context.folder / ".state"
    await asyncio.to_thread(make_private_folder, context.folder)
    async with contextlib.AsyncExitStack() as stack:
        keys = await stack.enter_async_context(open_keys(private / "keys.sqlite3"))
        await asyncio.to_thread(spool.sweep, private / "spool")

        async def open_ways() -> Ways:
            folders = await asyncio.to_thread(
                DropFolders.prepare, settings.folder or context.folder, group_access=settings.group_access
            )
            inbox = Inbox(folders, keys, context.node, context.clock)
            with storage_errors(folders.incoming):
                await inbox.recover()
            watcher = Watcher(
                folders.outgoing, settle_seconds=settings.settle_seconds, incomplete_seconds=settings.incomplete_seconds
            )
            outbox = Outbox(
                folders, watcher, context.node, spool=private / "spool", limits=settings.limits(), clock=context.clock
            )
            return Ways(inbox, outbox)

        ways: Ways | None = None
        away: CongvanError | None = None
        try:
            ways = await open_ways()
        except CongvanError as error:
            if settings.folder is None or error.code == "drop-folders-apart":
                raise
            away = error
        drop = Filedrop(open_ways, ways, poll_seconds=settings.poll_seconds, resources=stack.pop_all())
        if away is not None:
            drop.note(away)
        return drop
