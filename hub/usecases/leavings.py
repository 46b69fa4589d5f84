"""What submissions left behind that came to nothing: rows, uploads, and files that no message names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Final

import structlog

from hub.settings_exchange import SubmissionSettings
from hub.store import blobs, submissions
from hub.store.metadata import Transaction
from hub.usecases.uploads import Uploads
from runtime.blobs import BlobStore
from runtime.clock import Clock
from runtime.database import Database
from schemas.envelope import Sha256Hex

log = structlog.get_logger()

#: How many are looked up, and how many submissions end, at a time.
_TOGETHER: Final = 500

#: A file that is younger may be about to be named by a transaction under way.
_UNDER_WAY: Final = timedelta(hours=1)


class Leavings:
    """Drops what came to nothing."""

    def __init__(
        self, database: Database, files: BlobStore, uploads: Uploads, *, clock: Clock, settings: SubmissionSettings
    ) -> None:
        self._database = database
        self._files = files
        self._uploads = uploads
        self._clock = clock
        self._patience = settings.upload_time

    async def drop_submissions(self) -> None:
        """Drop submissions of whose attachments nothing came for a long time."""
        drop = partial(
            submissions.drop_untouched,
            since=self._clock() - self._patience,
            spared=self._uploads.in_progress,
            most=_TOGETHER,
        )
        while files := await self._database.write(drop):
            for file in files:
                await self._files.abandon(file)
            log.info("submissions.dropped", uploads=len(files))

    async def drop_files(self) -> None:
        """Drop files that a crash, or a transaction that failed, left without anybody who names them."""
        since = self._clock() - _UNDER_WAY
        uploads = self._files.untouched_uploads(since)
        while batch := await asyncio.to_thread(_some, uploads):
            for file in await self._database.read(partial(submissions.unknown_files, files=batch)):
                await self._files.abandon(file)
                log.info("upload.dropped", file=file)
        digests = self._files.untouched(since)
        while batch := await asyncio.to_thread(_some, digests):
            for digest in await self._database.read(partial(blobs.unnamed, digests=batch)):
                await self._database.write(partial(self._drop_unnamed, digest=digest))

    async def drop_unnamed(self, digests: Sequence[Sha256Hex]) -> None:
        """Drop the files among `digests`, unless a message names them by now or may be about to."""
        old = await asyncio.to_thread(list, self._files.untouched(self._clock() - _UNDER_WAY, among=digests))
        for digest in old:
            await self._database.write(partial(self._drop_unnamed, digest=digest))

    def _drop_unnamed(self, transaction: Transaction, digest: Sha256Hex) -> None:
        """Within a transaction, so that no acceptance comes between; dropping a file twice does no harm."""
        # One at a time: freeing the blocks of a long file takes the disk a while, and others wait for the transaction.
        if blobs.unnamed(transaction, [digest]):
            self._files.path(digest).unlink(missing_ok=True)
            log.info("blob.dropped", digest=digest)


def _some(names: Iterator[str]) -> list[str]:
    return list(islice(names, _TOGETHER))
