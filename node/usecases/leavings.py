"""What came to nothing: uploads that nobody goes on with, and files that no message names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Final

import structlog

from node.store import retention
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
            for digest in await self._database.read(partial(retention.unneeded, digests=batch)):
                await self._database.write(partial(self._drop_unneeded, digest=digest))

    async def drop_unneeded(self, digests: Sequence[Sha256Hex]) -> None:
        """Drop the files among `digests`, unless a message needs them by now or may be about to."""
        old = await asyncio.to_thread(list, self._blobs.untouched(self._clock() - _UNDER_WAY, among=digests))
        for digest in old:
            await self._database.write(partial(self._drop_unneeded, digest=digest))

    def _drop_unneeded(self, transaction: Transaction, digest: Sha256Hex) -> None:
        """Within a transaction, so that no message comes between; dropping a file twice does no harm."""
        # One at a time: freeing the blocks of a long file takes the disk a while, and others wait for the transaction.
        if retention.unneeded(transaction, [digest]):
            self._blobs.path(digest).unlink(missing_ok=True)
            log.info("blob.dropped", digest=digest)


def _some(names: Iterator[str]) -> list[str]:
    return list(islice(names, _TOGETHER))
