"""Blobs: attachments by the SHA-256 of their bytes, in a folder or on object storage.

A blob arrives as an *upload* that grows by appends, at an offset that both sides name, and becomes a blob when its
length and digest are what was promised. Whatever a store calls done is durable.

A sweep collects what no row of the database names. It holds no lock that an acceptance needs; that it takes nothing
which is about to be named rests on three rules (docs/adr/0009):

1. what is to be named is placed, or touched, before the transaction that names it;
2. that transaction commits within `NAMED_WITHIN` of this, or not at all (`require_timely`);
3. a sweep takes only what was placed and touched last before a moment that lies twice as long before its look at the
   rows, and the store sees to it that what it takes has not been touched since (`BlobStore.collect`).
"""

from __future__ import annotations

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from schemas.envelope import Sha256Hex, is_sha256_hex
from schemas.errors import Rejected, Unavailable

#: Bytes moved at a time between disk and network: large enough that thread hops cost nothing against it.
CHUNK = 256 * 1024

#: Bytes that a hop to a thread reads or writes: it takes a node some 100 µs, all else about them a millisecond.
TOGETHER: Final = 4 * CHUNK

#: So long after a blob was placed or touched a transaction may still name it.
NAMED_WITHIN: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class OpenBlob:
    """A blob open for reading by code in a thread; `source` gives up to so many of the next bytes, none at the end."""

    size: int
    source: Callable[[int], bytes] = field(repr=False)

    def read(self, count: int = CHUNK, /) -> bytes:
        """The next bytes, up to `count`; none at the end."""
        return self.source(count)


class BlobStore(ABC):
    """Blobs by their digests, and the uploads that are to become some, by ids of ASCII letters and digits.

    Every call may be made by any process of the program. Each raises `storage-…` or `blob-store-…` (Unavailable) while
    the store cannot be used, and Rejected for a name that is none.
    """

    # Uploads

    @abstractmethod
    async def upload_offset(self, upload_id: str) -> int:
        """How many bytes of an upload are here: where to go on."""

    @abstractmethod
    async def append(self, upload_id: str, offset: int, chunks: AsyncIterable[bytes], *, limit: int) -> int:
        """Append `chunks` at `offset`; gives the new offset. What came stays, also when the sender breaks off.

        Raises `upload-offset` if `offset` is not where the upload stands, `attachment-too-large` as soon as more
        than `limit` bytes in all have come.
        """

    @abstractmethod
    async def read_upload(self, upload_id: str) -> bytes:
        """All that came of a short upload."""

    @abstractmethod
    async def check(self, upload_id: str, digest: Sha256Hex, size: int) -> None:
        """See that a complete upload is what was promised; its bytes are durable when this returns.

        It may be seen as a blob from now on. Raises `attachment-digest` if the bytes are others (the upload is then
        dropped, it can never succeed).
        """

    @abstractmethod
    async def place(self, upload_id: str, digest: Sha256Hex) -> None:
        """Make a checked upload the blob of `digest`, durable, and counted as placed now when this returns.

        One that was placed before is touched. Raises `blob-missing` if neither the upload nor the blob is here.
        """

    @abstractmethod
    async def abandon(self, upload_id: str) -> None:
        """Drop an upload and what came of it; a blob that it became stays."""

    async def finish(self, upload_id: str, digest: Sha256Hex, size: int) -> None:
        """Make a complete upload the blob of `digest`; durable when this returns. Raises as `check` does."""
        await self.check(upload_id, digest, size)
        await self.place(upload_id, digest)

    async def take(self, upload_id: str, chunks: AsyncIterable[bytes], *, limit: int) -> tuple[Sha256Hex, int]:
        """Store a blob in one go whose digest is still to be found; gives that and the length. Raises as `append`."""
        digest = hashlib.sha256()

        async def digested() -> AsyncGenerator[bytes, None]:
            async for chunk in chunks:
                # It is stored while it is digested.
                digesting = asyncio.get_running_loop().run_in_executor(None, digest.update, chunk)
                yield chunk
                await digesting

        size = await self.append(upload_id, 0, digested(), limit=limit)
        await self.finish(upload_id, digest.hexdigest(), size)
        return digest.hexdigest(), size

    async def put(self, upload_id: str, digest: Sha256Hex, chunks: AsyncIterable[bytes], *, size: int) -> None:
        """Store a blob in one go, whatever an earlier try of the same upload left behind."""
        await self.abandon(upload_id)
        await self.append(upload_id, 0, chunks, limit=size)
        await self.finish(upload_id, digest, size)

    # Blobs

    @abstractmethod
    async def size(self, digest: Sha256Hex) -> int | None:
        """The blob's length in bytes, None if it is not here."""

    @abstractmethod
    async def touch(self, digest: Sha256Hex) -> None:
        """Count a blob as placed now: it is about to be named. Raises `blob-missing`."""

    @abstractmethod
    def stream(self, digest: Sha256Hex, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to, not including, `end`. Raises `blob-missing` before the first byte."""

    @abstractmethod
    def open(self, digest: Sha256Hex) -> AbstractContextManager[OpenBlob]:
        """The blob for code in a thread, which may wait. Raises `blob-missing`."""

    # What sweeps and readiness ask

    @abstractmethod
    def digests(self, *, placed_before: datetime | None = None) -> AsyncGenerator[Sha256Hex, None]:
        """Every blob here, or those placed and touched last before a moment, in no order."""

    @abstractmethod
    def untouched_uploads(self, since: datetime) -> AsyncGenerator[str, None]:
        """Every upload of which nothing came since then, in no order."""

    @abstractmethod
    async def collect(self, digest: Sha256Hex, *, placed_before: datetime) -> bool:
        """Drop a blob, unless it was placed or touched at that moment or later; True if it was dropped."""

    @abstractmethod
    def free_bytes(self) -> int | None:
        """What the store can still take; None where that has no limit that it could tell."""

    @abstractmethod
    async def claim(self, owner: str) -> None:
        """Have the store for `owner` alone, whatever its number of processes: the sweep of another would empty it.

        Raises Unavailable: `blob-store-taken`, as long as it is another's; `blob-store-…` while it does not say. Then
        every call that would write or drop anything asks again, and raises the same.
        """

    @abstractmethod
    async def probe(self) -> None:
        """Pass if the store can be written and read; else raise what stands in the way, with its mend."""


def require_timely(placed_at: datetime, now: datetime) -> None:
    """Within a transaction that names blobs placed since `placed_at`: pass if it is not too late for that."""
    if now - placed_at > NAMED_WITHIN:
        raise Unavailable(
            "blobs-placed-too-long-ago",
            "The attachments were put in their places too long ago: a sweep may have taken them for leavings.",
            mend="The same is tried again by itself.",
        )


def require_digest_name(digest: str) -> None:
    """Pass for a SHA-256 in lower-case hex, else `digest-malformed`."""
    if not is_sha256_hex(digest):
        raise Rejected("digest-malformed", f"{digest!r} is no SHA-256 in lower-case hex.")


def require_upload_name(upload_id: str) -> None:
    """Pass for ASCII letters and digits, else `upload-unknown`."""
    if not upload_id.isalnum() or not upload_id.isascii():
        raise Rejected("upload-unknown", "There is no such upload.")


def wrong_offset(position: int, offset: int) -> Rejected:
    """The sender goes on from another byte than the store."""
    return Rejected(
        "upload-offset",
        f"The upload stands at byte {position}, not at {offset}.",
        mend="Ask for the offset with HEAD and go on from there.",
    )


def too_large(limit: int) -> Rejected:
    """More comes than was announced."""
    return Rejected("attachment-too-large", f"More than the announced {limit} bytes were sent.")


def wrong_bytes(digest: Sha256Hex, actual: Sha256Hex, size: int) -> Rejected:
    """What came as `digest` is something else."""
    return Rejected(
        "attachment-digest",
        f"The bytes sent as {digest} are {size} bytes with the digest {actual}.",
        mend="Send the bytes that the envelope names.",
    )


def blob_missing(digest: Sha256Hex) -> Unavailable:
    """A blob is not where it should be."""
    return Unavailable("blob-missing", f"The attachment {digest} is not in the store of attachments.")


async def in_batches(names: AsyncIterator[str], most: int) -> AsyncGenerator[list[str], None]:
    """The names, up to `most` together: what is looked up in one question to a database."""
    batch: list[str] = []
    async for name in names:
        batch.append(name)
        if len(batch) == most:
            yield batch
            batch = []
    if batch:
        yield batch
