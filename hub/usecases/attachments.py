"""Attachments as they are read: by the senders and the recipients of the messages that name them, by nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass
from functools import partial

from hub.store import blobs
from hub.store.blobs import Blob
from hub.store.metadata import Transaction
from hub.usecases.mailbox import Mailbox
from hub.usecases.places import Places
from hub.usecases.retention import payload_purged
from hub.usecases.turns import Turns
from runtime.blobs import CHUNK, BlobStore
from runtime.database import Database
from schemas.envelope import Sha256Hex, is_sha256_hex
from schemas.errors import Rejected


@dataclass(frozen=True, slots=True)
class LeaseClaim:
    """A lease that a reader says it holds on a mailbox entry."""

    entry: int
    lease: str


class Attachments:
    """Reads attachments. `renewal`: how many seconds pass between two renewals of the lease that is read under."""

    def __init__(
        self,
        database: Database,
        files: BlobStore,
        mailbox: Mailbox,
        *,
        renewal: float,
        turns: Turns,
        places: Places,
    ) -> None:
        self._database = database
        self._files = files
        self._mailbox = mailbox
        self._renewal = renewal
        self._turns = turns
        self._places = places

    async def find(self, connection: str, digest: str, claim: LeaseClaim | None) -> Blob:
        """The attachment, if `connection` sent, is offered or has taken a message that names it.

        Raises:
            Rejected: `blob-unknown`; `payload-purged` if it was here and is not kept any more.
        """
        found = None
        if is_sha256_hex(digest):
            found = await self._database.read(partial(_find, digest=digest, connection=connection, claim=claim))
        if found is None:
            raise Rejected("blob-unknown", "There is no such attachment.", mend="Check the digest in the manifest.")
        return found

    def place(self, connection: str) -> AbstractContextManager[None]:
        """One of the connection's places for downloads. Raises `too-many-requests` if all are taken."""
        return self._places.take(connection)

    async def read(
        self, connection: str, blob: Blob, start: int, end: int, claim: LeaseClaim | None
    ) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to, not including, `end`; the lease in `claim` is kept alive meanwhile."""
        now = asyncio.get_running_loop().time
        renewed_at = -self._renewal
        async with aclosing(self._turns.read(connection, self._bytes(blob, start, end))) as pieces:
            async for piece in pieces:
                if claim is not None and now() - renewed_at >= self._renewal:
                    await self._mailbox.renew(connection, claim.entry, claim.lease)
                    renewed_at = now()
                yield piece

    async def _bytes(self, blob: Blob, start: int, end: int) -> AsyncGenerator[bytes, None]:
        if blob.content is None:
            async with aclosing(self._files.stream(blob.digest, start=start, end=end)) as pieces:
                async for piece in pieces:
                    yield piece
        else:
            for place in range(start, end, CHUNK):
                yield blob.content[place : min(place + CHUNK, end)]


def _find(transaction: Transaction, digest: Sha256Hex, connection: str, claim: LeaseClaim | None) -> Blob | None:
    found = None
    if claim is not None:
        found = blobs.readable_by_lease(transaction, digest, connection, claim.entry)
    found = found or blobs.readable(transaction, digest, connection)
    if found is None and (at := blobs.purged_at(transaction, digest, connection)) is not None:
        raise payload_purged("attachment", at)
    return found
