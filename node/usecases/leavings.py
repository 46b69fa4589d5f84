"""What came to nothing: uploads that nobody goes on with, and files that no message names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from node.store import retention
from runtime.blobs import BlobStore, in_batches
from runtime.clock import Clock
from runtime.database import Database
from schemas.envelope import Sha256Hex

log = structlog.get_logger()

#: Files that are looked up at a time.
_TOGETHER: Final = 500

#: A file that is younger may be about to be named by a message; a download that rests longer begins anew.
_UNDER_WAY: Final = timedelta(days=1)
_GIVEN_UP: Final = timedelta(days=7)


class Leavings:
    """Drops what a crash, a refusal or a message that never came again has left among the blobs."""

    def __init__(self, database: Database, blobs: BlobStore, clock: Clock) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock

    async def drop(self) -> None:
        """Drop all of it that is old enough."""
        now = self._clock()
        async for upload in self._blobs.untouched_uploads(now - _GIVEN_UP):
            await self._blobs.abandon(upload)
            log.info("upload.dropped", upload=upload)
        placed_before = now - _UNDER_WAY
        async for batch in in_batches(self._blobs.digests(placed_before=placed_before), _TOGETHER):
            await self._collect(batch, placed_before)

    async def drop_unneeded(self, digests: Sequence[Sha256Hex]) -> None:
        """Drop the files among `digests`, unless a message needs them by now or may be about to."""
        await self._collect(digests, self._clock() - _UNDER_WAY)

    async def _collect(self, digests: Sequence[Sha256Hex], placed_before: datetime) -> None:
        """Rows are looked at after `placed_before` was settled: what is named since was placed since."""
        for digest in await self._database.read(partial(retention.unneeded, digests=digests)):
            if await self._blobs.collect(digest, placed_before=placed_before):
                log.info("blob.dropped", digest=digest)
