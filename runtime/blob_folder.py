"""Blobs in a folder: the file synced, then its folder, before anything is called done.

Layout below the root: `blobs/ab/cd/<digest>` and `uploads/<upload id>`. When a blob was placed or touched is its file's
time of change. Collecting and placing exclude each other by a lock of the system's on `collecting.lock`, which holds
between processes and ends with them.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from io import BufferedRandom
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from runtime.blobs import (
    CHUNK,
    TOGETHER,
    BlobStore,
    OpenBlob,
    blob_missing,
    require_digest_name,
    require_upload_name,
    too_large,
    wrong_bytes,
    wrong_offset,
)
from runtime.files import PRIVATE, make_private_folder, storage_errors, sync_folder
from runtime.readiness import try_folder
from runtime.written_digests import WrittenDigests
from schemas.envelope import Sha256Hex, is_sha256_hex
from schemas.errors import Unavailable

#: Names that a thread reads from a folder at a time.
_TOGETHER: Final = 500


class BlobFolder(BlobStore):
    """Blobs in the folder `root`; made private on first use."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._uploads = root / "uploads"
        #: Folders whose own names are known to be on the disk: another thread may have made one and not synced it yet.
        self._synced: set[Path] = set()
        self._digests = WrittenDigests()
        make_private_folder(self._uploads)

    def path(self, digest: Sha256Hex) -> Path:
        """Where the blob of `digest` stands or would stand."""
        require_digest_name(digest)
        return self.root / "blobs" / digest[:2] / digest[2:4] / digest

    async def upload_offset(self, upload_id: str) -> int:
        return _length(self._upload_path(upload_id)) or 0

    async def append(self, upload_id: str, offset: int, chunks: AsyncIterable[bytes], *, limit: int) -> int:
        path = self._upload_path(upload_id)
        with storage_errors(path):
            # Opened here, not in a thread: a caller cancelled meanwhile would leave an open file that nobody has.
            file = _open_for_append(path)
            try:
                _require_alone(file)
                writing = self._digests.begin(upload_id, file)
                if writing.position != offset:
                    raise wrong_offset(writing.position, offset)
                try:
                    async for chunk in chunks:
                        if writing.position + len(chunk) > limit:
                            raise too_large(limit)
                        await asyncio.to_thread(writing.write, chunk)
                finally:
                    await asyncio.shield(asyncio.to_thread(self._digests.end, upload_id, writing))
            finally:
                await asyncio.shield(asyncio.to_thread(file.close))
        return writing.position

    async def take(self, upload_id: str, chunks: AsyncIterable[bytes], *, limit: int) -> tuple[Sha256Hex, int]:
        size = await self.append(upload_id, 0, chunks, limit=limit)
        digest = await asyncio.to_thread(self._digest, upload_id)
        await self.finish(upload_id, digest, size)
        return digest, size

    async def check(self, upload_id: str, digest: Sha256Hex, size: int) -> None:
        await asyncio.to_thread(self._check, upload_id, digest, size)

    async def place(self, upload_id: str, digest: Sha256Hex) -> None:
        await asyncio.to_thread(self._place, upload_id, digest)

    async def read_upload(self, upload_id: str) -> bytes:
        path = self._upload_path(upload_id)
        with storage_errors(path):
            return await asyncio.to_thread(path.read_bytes)

    def _digest(self, upload_id: str) -> Sha256Hex:
        path = self._upload_path(upload_id)
        with storage_errors(path), path.open("r+b") as file:
            return self._digests.digest(upload_id, file)

    def _check(self, upload_id: str, digest: Sha256Hex, size: int) -> None:
        source = self._upload_path(upload_id)
        with storage_errors(source), _open_for_append(source) as file:
            actual, length = self._digests.digest(upload_id, file), file.seek(0, os.SEEK_END)
            if (actual, length) != (digest, size):
                self._digests.forget(upload_id)
                source.unlink()
                raise wrong_bytes(digest, actual, length)
            os.fsync(file.fileno())

    def _place(self, upload_id: str, digest: Sha256Hex) -> None:
        source, target = self._upload_path(upload_id), self.path(digest)
        with storage_errors(source), self._lock(fcntl.LOCK_SH):
            for folder in reversed(target.parents[:3]):
                if folder not in self._synced:
                    make_private_folder(folder)
                    sync_folder(folder.parent)
                    self._synced.add(folder)
            self._digests.forget(upload_id)
            try:
                # A rename sets the time of change, where the time of modification is that of the last byte.
                source.replace(target)
            except FileNotFoundError:
                _touch(target, digest)
            sync_folder(target.parent)

    async def abandon(self, upload_id: str) -> None:
        path = self._upload_path(upload_id)
        self._digests.forget(upload_id)
        with storage_errors(path):
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def size(self, digest: Sha256Hex) -> int | None:
        return _length(self.path(digest))

    async def touch(self, digest: Sha256Hex) -> None:
        await asyncio.to_thread(self._touch, digest)

    def _touch(self, digest: Sha256Hex) -> None:
        path = self.path(digest)
        with storage_errors(path), self._lock(fcntl.LOCK_SH):
            _touch(path, digest)

    async def stream(self, digest: Sha256Hex, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        path = self.path(digest)
        try:
            file = path.open("rb")
        except FileNotFoundError as error:
            raise blob_missing(digest) from error
        try:
            await asyncio.to_thread(file.seek, start)
            left = None if end is None else end - start
            while left is None or left > 0:
                chunks = await asyncio.to_thread(_next_chunks, file, TOGETHER if left is None else min(TOGETHER, left))
                if not chunks:
                    break
                for chunk in chunks:
                    if left is not None:
                        left -= len(chunk)
                    yield chunk
        finally:
            file.close()

    @contextmanager
    def open(self, digest: Sha256Hex) -> Iterator[OpenBlob]:
        path = self.path(digest)
        with storage_errors(path):
            try:
                file = path.open("rb")
            except FileNotFoundError as error:
                raise blob_missing(digest) from error
            with file:
                yield OpenBlob(os.fstat(file.fileno()).st_size, file.read)

    async def digests(self, *, placed_before: datetime | None = None) -> AsyncGenerator[Sha256Hex, None]:
        paths = (self.root / "blobs").glob("??/??/*")
        names = (
            path.name
            for path in paths
            if is_sha256_hex(path.name) and (placed_before is None or _is_older(path, placed_before))
        )
        while batch := await asyncio.to_thread(_some, names):
            for name in batch:
                yield name

    async def untouched_uploads(self, since: datetime) -> AsyncGenerator[str, None]:
        # What a probe left behind when it was killed is no upload; the next probe takes its place.
        names = (path.name for path in self._uploads.glob("[!.]*") if _is_older(path, since))
        while batch := await asyncio.to_thread(_some, names):
            for name in batch:
                yield name

    async def collect(self, digest: Sha256Hex, *, placed_before: datetime) -> bool:
        return await asyncio.to_thread(self._collect, digest, placed_before)

    def _collect(self, digest: Sha256Hex, placed_before: datetime) -> bool:
        path = self.path(digest)
        with storage_errors(path), self._lock(fcntl.LOCK_EX):
            if not _is_older(path, placed_before):
                return False
            path.unlink()
            return True

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.root).free

    async def claim(self, owner: str) -> None:
        """It stands in its owner's own folder."""

    async def probe(self) -> None:
        await try_folder(self._uploads)

    @contextmanager
    def _lock(self, kind: int) -> Iterator[None]:
        """Placing and touching share the lock; a collection has it alone while it looks at the time and unlinks."""
        descriptor = os.open(self.root / "collecting.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)

    def _upload_path(self, upload_id: str) -> Path:
        require_upload_name(upload_id)
        return self._uploads / upload_id


def _next_chunks(file: BinaryIO, count: int) -> list[bytes]:
    """The next `count` bytes, or what is left of them, in pieces that a network takes."""
    sizes = [CHUNK] * (count // CHUNK) + [count % CHUNK]
    return [chunk for size in sizes if (chunk := file.read(size))]


def _length(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _touch(path: Path, digest: Sha256Hex) -> None:
    try:
        os.utime(path)
    except FileNotFoundError as error:
        raise blob_missing(digest) from error


def _is_older(path: Path, since: datetime) -> bool:
    try:
        changed: float = path.stat().st_ctime
    except FileNotFoundError:
        return False
    return changed < since.timestamp()


def _some(names: Iterator[str]) -> list[str]:
    return list(islice(names, _TOGETHER))


def _open_for_append(path: Path) -> BufferedRandom:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE)
    return os.fdopen(descriptor, "r+b")


def _require_alone(file: BufferedRandom) -> None:
    """Pass if no other process writes the file; the system's lock on it ends when it is closed, by whoever's death."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Unavailable("upload-busy", "Another process writes this upload.", mend="Try again later.") from error
