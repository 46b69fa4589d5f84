"""What submissions left behind that came to nothing: rows, uploads, and files that no message names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

import structlog

from hub.settings_exchange import SubmissionSettings
from hub.store import blobs, submissions
from hub.usecases.uploads import Uploads
from runtime.blobs import NAMED_WITHIN, BlobStore, in_batches
from runtime.clock import CertainClock
from runtime.database import Database
from schemas.envelope import Sha256Hex

log = structlog.get_logger()

#: How many are looked up, and how many submissions end, at a time.
_TOGETHER: Final = 500

#: A file that is younger may be about to be named by a transaction under way.
_UNDER_WAY: Final = 2 * NAMED_WITHIN


class Leavings:
    """Drops what came to nothing. Each of these raises Unavailable while the instant, `now`, is in doubt."""

    def __init__(
        self, database: Database, files: BlobStore, uploads: Uploads, *, now: CertainClock, settings: SubmissionSettings
    ) -> None:
        self._database = database
        self._files = files
        self._uploads = uploads
        self._now = now
        self._patience = settings.upload_time

    async def drop_submissions(self) -> None:
        """Drop submissions of whose attachments nothing came for a long time."""
        drop = partial(
            submissions.drop_untouched,
            since=await self._now() - self._patience,
            spared=self._uploads.in_progress,
            most=_TOGETHER,
        )
        while files := await self._database.write(drop):
            for file in files:
                await self._files.abandon(file)
            log.info("submissions.dropped", uploads=len(files))

    async def drop_files(self) -> None:
        """Drop files that a crash, or a transaction that failed, left without anybody who names them."""
        since = await self._now() - _UNDER_WAY
        async for batch in in_batches(self._files.untouched_uploads(since), _TOGETHER):
            for file in await self._database.read(partial(submissions.unknown_files, files=batch)):
                await self._files.abandon(file)
                log.info("upload.dropped", file=file)
        async for batch in in_batches(self._files.digests(placed_before=since), _TOGETHER):
            await self._collect(batch, since)

    async def drop_unnamed(self, digests: Sequence[Sha256Hex]) -> None:
        """Drop the files among `digests`, unless a message names them by now or may be about to."""
        await self._collect(digests, await self._now() - _UNDER_WAY)

    async def _collect(self, digests: Sequence[Sha256Hex], placed_before: datetime) -> None:
        """Rows are looked at after `placed_before` was settled: what is named since was placed since."""
        for digest in await self._database.read(partial(blobs.unnamed, digests=digests)):
            if await self._files.collect(digest, placed_before=placed_before):
                log.info("blob.dropped", digest=digest)
