"""The way in for what a mailbox hands out, fetched or pushed."""

from __future__ import annotations

import asyncio

import structlog

from node.usecases.continuity import Continuity
from node.usecases.directory import DirectoryCopy
from node.usecases.receiving import Download, Receiving
from runtime.blobs import BlobStore
from schemas.errors import CongvanError, Unavailable
from transport.client import HubClient
from transport.wire import MailboxAnswer

log = structlog.get_logger()


class Intake:
    """Takes batches of mail, several at once if need be."""

    def __init__(
        self,
        hub: HubClient,
        receiving: Receiving,
        *,
        directory: DirectoryCopy,
        continuity: Continuity,
        blobs: BlobStore,
        reserve: int,
    ) -> None:
        self._hub = hub
        self._receiving = receiving
        self._directory = directory
        self._continuity = continuity
        self._blobs = blobs
        self._reserve = reserve
        # Of two batches that come at once, one tells of a restore, and both wait until that is dealt with.
        self._agreeing = asyncio.Lock()
        #: Set once this record was compared with the hub's. Until then nothing may be sent: what a restored record
        #: lacks would be made anew, and what it sends would look as if it lacked nothing older.
        self.compared = asyncio.Event()

    def require_space(self) -> None:
        """Pass while there is room for mail; else `storage-full`."""
        free = self._blobs.free_bytes()
        if free is not None and free < self._reserve:
            log.error("storage.full", free_bytes=free, reserve_bytes=self._reserve)
            raise Unavailable(
                "storage-full",
                "The disk is nearly full; nothing is taken from the hub.",
                mend="Free space or enlarge the disk; receiving goes on by itself.",
            )

    async def take(self, answer: MailboxAnswer, downloads: asyncio.TaskGroup) -> None:
        """Take in a batch: what came whole is stored when this returns, the rest is fetched by tasks of `downloads`.

        Raises Unavailable if nothing can be taken in now; the entries are released.
        """
        async with self._agreeing:
            await self._agree(answer)
        self.compared.set()
        for download in await self._receiving.take(answer):
            downloads.create_task(self._complete(download))

    async def _agree(self, answer: MailboxAnswer) -> None:
        """Come to the state of the store and of the directory that the hub answers from."""
        if not self._is_behind(answer) and await self._continuity.is_unbroken(answer):
            return
        await self._continuity.follow_epoch(answer)
        if self._is_behind(answer):
            try:
                await self._directory.sync(self._hub)
            except CongvanError as error:
                # What needs the newer version is released for later; all else can go on.
                log.error("directory.not-synced", rule=error.code, reason=error.message)
        await self._continuity.catch_up(answer)

    def _is_behind(self, answer: MailboxAnswer) -> bool:
        """Whether the copy of the directory is not the one that the hub answers by."""
        return answer.directory_version > self._directory.version or not self._directory.agrees_with(answer.epoch)

    async def _complete(self, download: Download) -> None:
        try:
            await self._receiving.complete(download)
        except Exception:
            # A fault of ours with one message; its lease lapses and it is offered again.
            log.exception("download.failed", message=download.arrival.message.message_id)
