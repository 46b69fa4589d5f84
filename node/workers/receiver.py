"""The receiver: polls the mailbox, one answer after the other; downloads run beside it."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

import structlog

from node.settings_exchange import ReceiverSettings
from node.usecases.backoff import wait_after
from node.usecases.continuity import Continuity
from node.usecases.directory import DirectoryCopy
from node.usecases.hub_watch import HubWatch
from node.usecases.receiving import Download, Receiving
from runtime.blobs import BlobStore
from runtime.lifecycle import sleep_unless
from schemas.errors import CongvanError, Unavailable
from transport.client import HubClient
from transport.wire import MailboxAnswer

log = structlog.get_logger()

#: Seconds between two questions that are answered with nothing.
_HASTE: Final = 1.0


class Receiver:
    """A service. It is always in touch with the hub, so it is the one that knows whether the hub answers."""

    def __init__(
        self,
        hub: HubClient,
        receiving: Receiving,
        *,
        directory: DirectoryCopy,
        watch: HubWatch,
        continuity: Continuity,
        blobs: BlobStore,
        settings: ReceiverSettings,
        chance: Random,
    ) -> None:
        self._hub = hub
        self._receiving = receiving
        self._directory = directory
        self._watch = watch
        self._continuity = continuity
        self._blobs = blobs
        self._settings = settings
        self._chance = chance

    async def run(self, stop: asyncio.Event) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as downloads:
            while not stop.is_set():
                try:
                    self._require_space()
                    asked_at = loop.time()
                    answer = await self._asked(stop)
                    if answer is None:
                        break
                    await self._take(answer, downloads)
                    failures = 0
                    if not answer.entries and loop.time() - asked_at < _HASTE:
                        # A hub that is stopping, or a proxy, answers at once with nothing: not to be asked in a circle.
                        await sleep_unless(stop, _HASTE)
                except Exception as error:
                    failures += 1
                    asked_for = error.retry_after if isinstance(error, Unavailable) else None
                    seconds = wait_after(failures, self._settings.backoff, self._chance, asked=asked_for)
                    if isinstance(error, CongvanError):
                        log.warning("receiver.paused", seconds=round(seconds, 1), rule=error.code, reason=error.message)
                    else:
                        # A fault of ours: the entries are offered again, one by one, and the others get through.
                        log.exception("receiver.failed", seconds=round(seconds, 1))
                    await sleep_unless(stop, seconds)

    def _require_space(self) -> None:
        if self._blobs.free_bytes() < self._settings.reserve_bytes:
            log.error("storage.full", free_bytes=self._blobs.free_bytes(), reserve_bytes=self._settings.reserve_bytes)
            raise Unavailable(
                "storage-full",
                "The disk is nearly full; nothing is fetched from the hub.",
                mend="Free space or enlarge the disk; receiving goes on by itself.",
            )

    async def _asked(self, stop: asyncio.Event) -> MailboxAnswer | None:
        """The next answer of the mailbox; None if `stop` was set while waiting for it."""
        poll = asyncio.ensure_future(self._hub.mailbox(wait=self._settings.wait, limit=self._settings.batch))
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

    async def _take(self, answer: MailboxAnswer, downloads: asyncio.TaskGroup) -> None:
        await self._continuity.follow_epoch(answer)
        if answer.directory_version > self._directory.version or not self._directory.agrees_with(answer.epoch):
            try:
                await self._directory.sync(self._hub)
            except CongvanError as error:
                # What needs the newer version is released for later; all else can go on.
                log.error("directory.not-synced", rule=error.code, reason=error.message)
        await self._continuity.catch_up(answer)
        for download in await self._receiving.take(answer):
            downloads.create_task(self._complete(download))

    async def _complete(self, download: Download) -> None:
        try:
            await self._receiving.complete(download)
        except Exception:
            # A fault of ours with one message; its lease lapses and it is offered again.
            log.exception("download.failed", message=download.arrival.message.message_id)
