"""What came to nothing: uploads that nobody goes on with, and files that no message names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Final

import structlog

from node.store import messages
from node.store.metadata import Transaction
from runtime.blobs import BlobStore
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
    """Drops what a crash, a refusal or a message that never came again has left in the folder of blobs."""

    def __init__(self, database: Database, blobs: BlobStore, clock: Clock) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock

    async def drop(self) -> None:
        """Drop all of it that is old enough."""
        now = self._clock()
        uploads = self._blobs.untouched_uploads(now - _GIVEN_UP)
        while batch := await asyncio.to_thread(_some, uploads):
            for upload in batch:
                await self._blobs.abandon(upload)
                log.info("upload.dropped", upload=upload)
        digests = self._blobs.untouched(now - _UNDER_WAY)
        while batch := await asyncio.to_thread(_some, digests):
            if await self._database.read(partial(messages.unnamed, digests=batch)):
                await self._database.write(partial(self._drop_unnamed, digests=batch))

    def _drop_unnamed(self, transaction: Transaction, digests: list[Sha256Hex]) -> None:
        """Within a transaction, so that no message comes between; dropping a file twice does no harm."""
        for digest in messages.unnamed(transaction, digests):
            self._blobs.path(digest).unlink(missing_ok=True)
            log.info("blob.dropped", digest=digest)


def _some(names: Iterator[str]) -> list[str]:
    return list(islice(names, _TOGETHER))
