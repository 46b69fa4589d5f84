"""Blobs: attachments by the SHA-256 of their bytes, in a folder.

A blob arrives as an *upload* that grows by appends, at an offset that both sides name, and becomes a
blob when its length and digest are what was promised. Whatever this module calls done is on the disk: the
file synced, then its folder.

Layout below the root: `blobs/ab/cd/<digest>` and `uploads/<upload id>`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from datetime import datetime
from io import BufferedRandom
from pathlib import Path
from typing import BinaryIO

from runtime.files import PRIVATE, make_private_folder, storage_errors, sync_folder
from schemas.envelope import Sha256Hex, is_sha256_hex
from schemas.errors import Rejected, Unavailable

#: Bytes moved at a time between disk and network: large enough that thread hops cost nothing against it.
CHUNK = 256 * 1024


class BlobStore:
    """Blobs in the folder `root`; made private on first use."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._uploads = root / "uploads"
        #: Folders whose own names are known to be on the disk: another thread may have made one and not synced it yet.
        self._synced: set[Path] = set()
        make_private_folder(self._uploads)

    def path(self, digest: Sha256Hex) -> Path:
        """Where the blob of `digest` stands or would stand."""
        if not is_sha256_hex(digest):
            raise Rejected("digest-malformed", f"{digest!r} is no SHA-256 in lower-case hex.")
        return self._root / "blobs" / digest[:2] / digest[2:4] / digest

    def size(self, digest: Sha256Hex) -> int | None:
        """The blob's length in bytes, None if it is not here."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def upload_offset(self, upload_id: str) -> int:
        """How many bytes of an upload are here: where to go on."""
        try:
            return self._upload_path(upload_id).stat().st_size
        except FileNotFoundError:
            return 0

    async def append(self, upload_id: str, offset: int, chunks: AsyncIterable[bytes], *, limit: int) -> int:
        """Append `chunks` at `offset`; gives the new offset. All that came stays, also when the sender breaks off.

        Raises `upload-offset` if `offset` is not where the upload stands, `attachment-too-large` as soon as more
        than `limit` bytes in all have come.
        """
        path = self._upload_path(upload_id)
        with storage_errors(path):
            # Opened here, not in a thread: a caller cancelled meanwhile would leave an open file that nobody has.
            file = _open_for_append(path)
            try:
                position = await asyncio.to_thread(file.seek, 0, os.SEEK_END)
                if position != offset:
                    raise Rejected(
                        "upload-offset",
                        f"The upload stands at byte {position}, not at {offset}.",
                        mend="Ask for the offset with HEAD and go on from there.",
                    )
                async for chunk in chunks:
                    position += len(chunk)
                    if position > limit:
                        raise Rejected("attachment-too-large", f"More than the announced {limit} bytes were sent.")
                    await asyncio.to_thread(file.write, chunk)
            finally:
                await asyncio.shield(asyncio.to_thread(file.close))
        return position

    async def finish(self, upload_id: str, digest: Sha256Hex, size: int) -> None:
        """Make a complete upload the blob of `digest`; durable when this returns. Raises as `check` does."""
        await self.check(upload_id, digest, size)
        await self.place(upload_id, digest)

    async def check(self, upload_id: str, digest: Sha256Hex, size: int) -> None:
        """Sync the bytes of a complete upload, and see that they are what was promised.

        Raises `attachment-digest` if they are others (the upload is then dropped, it can never succeed).
        """
        await asyncio.to_thread(self._check, upload_id, digest, size)

    async def place(self, upload_id: str, digest: Sha256Hex) -> None:
        """Make a checked upload the blob of `digest`; durable when this returns.

        No error if it was placed before. Raises `blob-missing` if neither the upload nor the blob is here.
        """
        await asyncio.to_thread(self._place, upload_id, digest)

    async def read_upload(self, upload_id: str) -> bytes:
        """All that came of a short upload."""
        path = self._upload_path(upload_id)
        with storage_errors(path):
            return await asyncio.to_thread(path.read_bytes)

    def _check(self, upload_id: str, digest: Sha256Hex, size: int) -> None:
        source = self._upload_path(upload_id)
        with storage_errors(source), _open_for_append(source) as file:
            file.seek(0)
            actual = hashlib.file_digest(file, "sha256").hexdigest()
            if (actual, file.tell()) != (digest, size):
                source.unlink()
                raise Rejected(
                    "attachment-digest",
                    f"The bytes sent as {digest} are {file.tell()} bytes with the digest {actual}.",
                    mend="Send the bytes that the envelope names.",
                )
            os.fsync(file.fileno())

    def _place(self, upload_id: str, digest: Sha256Hex) -> None:
        source, target = self._upload_path(upload_id), self.path(digest)
        with storage_errors(source):
            for folder in reversed(target.parents[:3]):
                if folder not in self._synced:
                    make_private_folder(folder)
                    sync_folder(folder.parent)
                    self._synced.add(folder)
            try:
                source.replace(target)
            except FileNotFoundError as error:
                if not target.exists():
                    raise Unavailable("blob-missing", f"The attachment {digest} is not on the disk.") from error
            sync_folder(target.parent)

    async def put(self, upload_id: str, digest: Sha256Hex, chunks: AsyncIterable[bytes], *, size: int) -> None:
        """Store a blob in one go, whatever an earlier try of the same upload left behind."""
        await self.abandon(upload_id)
        await self.append(upload_id, 0, chunks, limit=size)
        await self.finish(upload_id, digest, size)

    async def abandon(self, upload_id: str) -> None:
        """Drop an upload and what came of it."""
        path = self._upload_path(upload_id)
        with storage_errors(path):
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def delete(self, digest: Sha256Hex) -> None:
        """Drop a blob; no error if it is gone already."""
        path = self.path(digest)
        with storage_errors(path):
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def stream(self, digest: Sha256Hex, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to, not including, `end`. Raises `blob-missing` before the first byte."""
        path = self.path(digest)
        try:
            file = path.open("rb")
        except FileNotFoundError as error:
            raise Unavailable("blob-missing", f"The attachment {digest} is not on the disk.") from error
        try:
            await asyncio.to_thread(file.seek, start)
            left = None if end is None else end - start
            while left is None or left > 0:
                chunk = await asyncio.to_thread(file.read, CHUNK if left is None else min(CHUNK, left))
                if not chunk:
                    break
                if left is not None:
                    left -= len(chunk)
                yield chunk
        finally:
            file.close()

    def open(self, digest: Sha256Hex) -> BinaryIO:
        """The blob as a file, for code in a thread."""
        path = self.path(digest)
        with storage_errors(path):
            return path.open("rb")

    def digests(self) -> Iterator[Sha256Hex]:
        """Every blob here, in no order: for sweeps and audits."""
        yield from (path.name for path in (self._root / "blobs").glob("??/??/*") if is_sha256_hex(path.name))

    def untouched(self, since: datetime, among: Iterable[Sha256Hex] | None = None) -> Iterator[Sha256Hex]:
        """Every blob here, or of those `among`, that was put in its place before `since`, in no order."""
        # A rename sets the time of change, where the time of modification is that of the last byte.
        return (
            digest for digest in (self.digests() if among is None else among) if _is_older(self.path(digest), since)
        )

    def untouched_uploads(self, since: datetime) -> Iterator[str]:
        """Every upload of which nothing came since then, in no order."""
        return (path.name for path in self._uploads.iterdir() if _is_older(path, since))

    def free_bytes(self) -> int:
        """What the disk under the folder can still take."""
        return shutil.disk_usage(self._root).free

    def _upload_path(self, upload_id: str) -> Path:
        if not upload_id.isalnum() or not upload_id.isascii():
            raise Rejected("upload-unknown", "There is no such upload.")
        return self._uploads / upload_id


def _is_older(path: Path, since: datetime) -> bool:
    try:
        changed: float = path.stat().st_ctime
    except FileNotFoundError:
        return False
    return changed < since.timestamp()


def _open_for_append(path: Path) -> BufferedRandom:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE)
    return os.fdopen(descriptor, "r+b")
