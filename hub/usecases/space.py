"""Room on the disk: attachments stop before the database has none left, and none is promised to two.

Before a byte of an attachment is taken, room for all of it is promised in the database. What is free, less what is
promised and has not come yet, never falls below the spare, however many uploads run at once, in however many processes.
On object storage, which has no limit that it could tell, nothing is promised.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Final

from hub.store import space
from hub.store.metadata import Transaction
from runtime.blobs import BlobStore
from runtime.clock import Clock
from runtime.database import Database
from schemas.errors import Unavailable

#: A promise to the body of a submission ends by itself so long after it was made: its process may have died.
_BODY_TIME: Final = timedelta(hours=1)


class Room:
    """The room for attachments. `spare` bytes of the disk are kept for all else."""

    def __init__(self, database: Database, blobs: BlobStore, clock: Clock, *, spare: int) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._spare = spare

    def require(self, needed: int) -> None:
        """Pass if `needed` bytes that were promised room can still come; else `storage-full`."""
        free = self._blobs.free_bytes()
        if free is not None and free - needed < self._spare:
            raise _full(needed)

    def require_promises(self, transaction: Transaction, connection: str) -> None:
        """Within a transaction that has made promises to `connection`: pass if all promises can be kept.

        Raises `storage-full`; `too-many-requests` if more than half of the room would be the promise of this one
        connection: one submission may have all there is, and who begins several leaves room for others.
        """
        free = self._blobs.free_bytes()
        if free is None:
            return
        mine, submissions = space.promised_to(transaction, connection)
        room = free - self._spare
        if space.promised(transaction, now=self._clock()) > room:
            raise _full(mine)
        if submissions > 1 and mine > room // 2:
            raise Unavailable(
                "too-many-requests",
                f"Half of the hub's room is promised to {submissions} submissions of this connection already.",
                mend="Upload the attachments of those first; the submission is tried again by itself.",
            )

    @contextlib.asynccontextmanager
    async def promised(self, holder: str, size: int) -> AsyncIterator[None]:
        """Promise `size` bytes to what comes in the body of a submission, until this is left. Raises `storage-full`."""
        if self._blobs.free_bytes() is None:
            yield
            return
        await self._database.write(partial(self._promise, holder=holder, size=size))
        try:
            yield
        finally:
            await self._database.write(partial(space.release, holder=holder))

    def _promise(self, transaction: Transaction, holder: str, size: int) -> None:
        now = self._clock()
        space.reserve(transaction, holder, size, now=now, until=now + _BODY_TIME)
        free = self._blobs.free_bytes()
        if free is not None and space.promised(transaction, now=now) > free - self._spare:
            raise _full(size)


def _full(needed: int) -> Unavailable:
    return Unavailable(
        "storage-full",
        f"The hub has no room for {needed} bytes of attachments beside what is promised to uploads under way.",
        mend="The submission is tried again by itself; the hub's operator must free space on its disk.",
    )
