"""Blobs on object storage, for any number of processes, none of which keeps anything that another needs.

Layout below the prefix (docs/adr/0009): an upload is chunks, `uploads/<upload id>/<number>-<size>`, each of `PART`
bytes but the last; a blob is placements, `blobs/ab/cd/<digest>/<random name>`, each with all of its bytes. Both are
found by listing, and their names say all that rows of a database would. Of the chunks of one number the longest holds;
of the placements the one written last. The name of a placement is never used again.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from runtime.blobs import (
    CHUNK,
    NAMED_WITHIN,
    BlobStore,
    OpenBlob,
    blob_missing,
    require_digest_name,
    require_upload_name,
    too_large,
    wrong_bytes,
    wrong_offset,
)
from runtime.clock import Clock
from runtime.object_storage import PART, RANGE, ObjectMissingError, ObjectStorage, StoredObject
from schemas.envelope import Sha256Hex
from schemas.errors import Unavailable

#: A placement that is younger counts as placed now. What is left of an hour is for clocks that differ.
_YOUNG: Final = NAMED_WITHIN / 3
#: How many uploads are put together at a time: each takes a few parts of memory.
_TOGETHER: Final = 2


#: Bytes that are read of the name of whom a prefix belongs to.
_LONGEST_OWNER: Final = 1000


@dataclass(frozen=True, slots=True)
class _Chunk:
    number: int
    size: int
    name: str


class BlobBucket(BlobStore):
    """Blobs below the prefix of `storage`; `clock` tells how old a placement is."""

    def __init__(self, storage: ObjectStorage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._composing = asyncio.Semaphore(_TOGETHER)
        #: Who is to have the prefix, as long as nobody knows that it is his.
        self._claimant: str | None = None

    # Uploads

    async def upload_offset(self, upload_id: str) -> int:
        return _length(await self._chunks(upload_id))

    async def append(self, upload_id: str, offset: int, chunks: AsyncIterable[bytes], *, limit: int) -> int:
        await self._require_claimed()
        held = await self._chunks(upload_id)
        position = _length(held)
        if position != offset:
            raise wrong_offset(position, offset)
        # A last chunk that is not full is written anew, longer: chunks stay few however often a sender breaks off.
        tail = held.pop() if held and held[-1].size < PART else None
        rest = await self._read_tail(upload_id, tail, offset)
        filling = _Filling(self._storage, upload_id, number=len(held), pending=[rest] if rest else [], written=tail)
        try:
            async for chunk in chunks:
                position += len(chunk)
                if position > limit:
                    raise too_large(limit)
                await filling.add(chunk)
        except Unavailable as error:
            if not error.code.startswith("blob-store-"):
                await asyncio.shield(filling.flush())
            raise
        except BaseException:
            await asyncio.shield(filling.flush())
            raise
        await filling.flush()
        return position

    async def _read_tail(self, upload_id: str, tail: _Chunk | None, offset: int) -> bytes:
        if tail is None:
            return b""
        try:
            return await self._storage.read(tail.name, 0, tail.size)
        except ObjectMissingError as error:
            # Another process has written more, or dropped the upload, since the listing.
            raise wrong_offset(await self.upload_offset(upload_id), offset) from error

    async def read_upload(self, upload_id: str) -> bytes:
        return b"".join([piece async for piece in self._pieces(await self._chunks(upload_id))])

    async def check(self, upload_id: str, digest: Sha256Hex, size: int) -> None:
        require_digest_name(digest)
        chunks = await self._chunks(upload_id)
        async with self._composing:
            await self._compose(upload_id, chunks, digest, size)

    async def _compose(self, upload_id: str, chunks: Sequence[_Chunk], digest: Sha256Hex, size: int) -> None:
        """Make a placement of the chunks, unless their digest is another: then the object is not made."""
        earlier = await self._placements(digest)
        pieces = self._verified(upload_id, chunks, digest, size)
        if _length(chunks) != size or (earlier and self._is_young(earlier[-1])):
            # Where the bytes are here already, that these are the same is still for the sender to show.
            async for _ in pieces:
                pass
        elif size <= PART:
            await self._storage.put(_placement(digest), b"".join([piece async for piece in pieces]))
            await self._storage.delete([each.name for each in earlier])
        else:
            await self._storage.put_parts(_placement(digest), pieces, size)
            await self._storage.delete([each.name for each in earlier])

    async def _verified(
        self, upload_id: str, chunks: Sequence[_Chunk], digest: Sha256Hex, size: int
    ) -> AsyncIterator[bytes]:
        """The bytes of the chunks; an error at their end, if they are not what was promised."""
        found, length = hashlib.sha256(), 0
        async for piece in self._pieces(chunks):
            length += len(piece)
            await asyncio.to_thread(found.update, piece)
            yield piece
        if (found.hexdigest(), length) != (digest, size):
            await self.abandon(upload_id)
            raise wrong_bytes(digest, found.hexdigest(), length)

    async def place(self, upload_id: str, digest: Sha256Hex) -> None:
        try:
            await self.touch(digest)
        except Unavailable as error:
            chunks = await self._chunks(upload_id)
            if error.code != "blob-missing" or not chunks:
                raise
            # Collected since the check, for its submission waited long for others: the chunks are still here.
            await self.check(upload_id, digest, _length(chunks))
        await self.abandon(upload_id)

    async def abandon(self, upload_id: str) -> None:
        require_upload_name(upload_id)
        await self._storage.delete([each.name async for each in self._storage.listed(f"uploads/{upload_id}/")])

    # Blobs

    async def size(self, digest: Sha256Hex) -> int | None:
        placements = await self._placements(digest)
        return placements[-1].size if placements else None

    async def touch(self, digest: Sha256Hex) -> None:
        placements = await self._placements(digest)
        if not placements:
            raise blob_missing(digest)
        if self._is_young(placements[-1]):
            return
        try:
            await self._storage.copy(placements[-1], _placement(digest))
        except ObjectMissingError as error:
            raise blob_missing(digest) from error
        # Those that this call saw, and no others: whoever drops one knows of a younger one.
        await self._storage.delete([each.name for each in placements])

    async def stream(self, digest: Sha256Hex, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        found = await self._newest(digest)
        ends_at = found.size if end is None else min(end, found.size)
        position = start
        while position < ends_at:
            try:
                piece = await self._storage.read(found.name, position, min(position + RANGE, ends_at))
            except ObjectMissingError:
                # A younger placement has taken its place.
                earlier, found = found, await self._newest(digest)
                if found == earlier:
                    raise blob_missing(digest) from None
                continue
            position += len(piece)
            for begin in range(0, len(piece), CHUNK):
                yield piece[begin : begin + CHUNK]

    @contextmanager
    def open(self, digest: Sha256Hex) -> Iterator[OpenBlob]:
        require_digest_name(digest)
        placements = _by_age(self._storage.listed_waiting(_prefix(digest)))
        if not placements:
            raise blob_missing(digest)
        try:
            yield OpenBlob(placements[-1].size, self._storage.reader(placements[-1]))
        except ObjectMissingError as error:
            raise blob_missing(digest) from error

    # What sweeps and readiness ask

    async def digests(self, *, placed_before: datetime | None = None) -> AsyncGenerator[Sha256Hex, None]:
        # A listing goes by names, so that the placements of one blob come together.
        current, newest = "", None
        async for each in self._storage.listed("blobs/"):
            digest = each.name.split("/")[-2]
            if digest != current:
                if newest and (placed_before is None or newest < placed_before):
                    yield current
                current, newest = digest, each.written_at
            newest = max(newest or each.written_at, each.written_at)
        if newest and (placed_before is None or newest < placed_before):
            yield current

    async def untouched_uploads(self, since: datetime) -> AsyncGenerator[str, None]:
        await self._require_claimed()
        touched: dict[str, datetime] = {}
        async for each in self._storage.listed("uploads/"):
            upload_id = each.name.split("/")[-2]
            touched[upload_id] = max(each.written_at, touched.get(upload_id, each.written_at))
        for upload_id, at in touched.items():
            if at < since:
                yield upload_id

    async def collect(self, digest: Sha256Hex, *, placed_before: datetime) -> bool:
        await self._require_claimed()
        placements = await self._placements(digest)
        # By their own names, which nothing that is placed from now on will have.
        await self._storage.delete([each.name for each in placements if each.written_at < placed_before])
        return bool(placements) and placements[-1].written_at < placed_before

    def free_bytes(self) -> None:
        return None

    async def claim(self, owner: str) -> None:
        self._claimant = owner
        await self._require_claimed()

    async def _require_claimed(self) -> None:
        """Before anything is written or dropped: a storage that was away at the start has nobody asked whose it is."""
        owner = self._claimant
        if owner is None:
            return
        try:
            found = await self._storage.read("owner", 0, _LONGEST_OWNER)
        except ObjectMissingError:
            await self._storage.put("owner", owner.encode())
            found = await self._storage.read("owner", 0, _LONGEST_OWNER)
        if found != owner.encode():
            raise Unavailable(
                "blob-store-taken",
                f"{self._storage.place} holds the attachments of {found.decode(errors='replace')!r}, not of {owner!r}.",
                mend="Give each hub and each node a prefix of its own in `url` of [blobs].",
            )
        self._claimant = None

    async def probe(self) -> None:
        """Writes, lists, reads and drops an upload: what may do that may do all."""
        upload_id = f"probe{secrets.token_hex(8)}"
        await self.append(upload_id, 0, _once(upload_id.encode()), limit=len(upload_id))
        shown = await self.read_upload(upload_id)
        # A sweep drops it where this does not come to it.
        await self.abandon(upload_id)
        if shown != upload_id.encode():
            raise Unavailable(
                "blob-store-failed",
                "The object storage does not show what was just written to it.",
                mend="Its listings must show a write at once, as those of S3 do.",
            )

    async def _chunks(self, upload_id: str) -> list[_Chunk]:
        """The chunks that make up the upload, in order, without a gap."""
        require_upload_name(upload_id)
        longest: dict[int, _Chunk] = {}
        async for each in self._storage.listed(f"uploads/{upload_id}/"):
            chunk = _chunk(each)
            if chunk.number not in longest or longest[chunk.number].size < chunk.size:
                longest[chunk.number] = chunk
        chunks: list[_Chunk] = []
        while (following := longest.get(len(chunks))) and (not chunks or chunks[-1].size == PART):
            chunks.append(following)
        return chunks

    async def _pieces(self, chunks: Sequence[_Chunk]) -> AsyncIterator[bytes]:
        for chunk in chunks:
            try:
                yield await self._storage.read(chunk.name, 0, chunk.size)
            except ObjectMissingError:
                raise Unavailable("upload-busy", "Another process goes on with this upload.") from None

    async def _newest(self, digest: Sha256Hex) -> StoredObject:
        placements = await self._placements(digest)
        if not placements:
            raise blob_missing(digest)
        return placements[-1]

    async def _placements(self, digest: Sha256Hex) -> list[StoredObject]:
        """The placements of a blob, the one written last at the end."""
        require_digest_name(digest)
        return _by_age([each async for each in self._storage.listed(_prefix(digest))])

    def _is_young(self, placement: StoredObject) -> bool:
        return self._clock() - placement.written_at < _YOUNG


class _Filling:
    """Fills chunks of an upload, from the chunk `number` on; `written` is what stands of that one already."""

    def __init__(
        self, storage: ObjectStorage, upload_id: str, *, number: int, pending: list[bytes], written: _Chunk | None
    ) -> None:
        self._storage = storage
        self._upload_id = upload_id
        self._number = number
        self._pending = pending
        self._length = sum(map(len, pending))
        self._written = written

    async def add(self, piece: bytes) -> None:
        """Take bytes; a chunk that is full is written."""
        self._pending.append(piece)
        self._length += len(piece)
        if self._length < PART:
            return
        content = b"".join(self._pending)
        self._pending = []
        while len(content) >= PART:
            chunk, content = content[:PART], content[PART:]
            await self._write(chunk)
            self._number += 1
        self._pending, self._length = [content], len(content)

    async def flush(self) -> None:
        """Write what has come of a chunk that is not full."""
        if self._length > (self._written.size if self._written else 0):
            await self._write(b"".join(self._pending))

    async def _write(self, content: bytes) -> None:
        name = f"uploads/{self._upload_id}/{self._number:06}-{len(content):07}"
        await self._storage.put(name, content)
        if self._written is not None:
            await self._storage.delete([self._written.name])
            self._written = None


def _length(chunks: Sequence[_Chunk]) -> int:
    return sum(chunk.size for chunk in chunks)


def _chunk(found: StoredObject) -> _Chunk:
    number, _, _ = found.name.rpartition("/")[2].partition("-")
    return _Chunk(int(number), found.size, found.name)


def _prefix(digest: Sha256Hex) -> str:
    return f"blobs/{digest[:2]}/{digest[2:4]}/{digest}/"


def _placement(digest: Sha256Hex) -> str:
    return f"{_prefix(digest)}{secrets.token_hex(16)}"


def _by_age(placements: list[StoredObject]) -> list[StoredObject]:
    return sorted(placements, key=lambda each: (each.written_at, each.name))


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
