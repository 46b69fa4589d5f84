"""Attachments by their digest: short ones in the database, the others as blobs."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from node.store import messages
from node.store.states import Direction
from node.usecases.transfers import Journey, Moving, Transfers
from runtime.blobs import TOGETHER, BlobStore
from runtime.database import Database
from runtime.files import storage_errors
from runtime.thread_batches import ThreadBatches
from schemas.envelope import Sha256Hex
from schemas.errors import LimitExceeded, Rejected
from schemas.limits import KIB

#: Attachments up to this length are rows that commit with their message.
SMALL: Final = 64 * KIB


@dataclass(frozen=True, slots=True)
class KeptAttachment:
    """Bytes that the node has: `content` if they are short and must commit with the message, else durable already."""

    digest: Sha256Hex
    size: int
    content: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Wanted:
    path: Path
    limit: int


class Attachments:
    """The bytes of every attachment that the node sent or received."""

    def __init__(self, database: Database, blobs: BlobStore, transfers: Transfers) -> None:
        self._database = database
        self._blobs = blobs
        self._transfers = transfers
        self._looking: dict[str, ThreadBatches[_Wanted, KeptAttachment | int]] = {}

    async def keep(self, path: Path, *, adapter: str, limit: int, progress: Callable[[int], None]) -> KeptAttachment:
        """Take the node's own copy of the file; `progress` is told of bytes as they are copied.

        Raises Rejected: `file-missing`, `attachment-too-large` (more than `limit` bytes); Unavailable: `storage-full`.
        """
        # Short files that are handed in at once share a hop to a thread, which costs more than to read one. Those of
        # each adapter by themselves: one whose share hangs holds up no other.
        look = self._looking.setdefault(adapter, ThreadBatches(_look_each))
        with storage_errors(path):
            found = await look(_Wanted(path, limit))
        if isinstance(found, KeptAttachment):
            progress(found.size)
            return found
        async with self._transfers.under_way(Journey(Direction.COPY, found)) as moving:
            return await self._keep_blob(path, limit, moving, progress)

    async def _keep_blob(
        self, path: Path, limit: int, moving: Moving, progress: Callable[[int], None]
    ) -> KeptAttachment:
        upload_id = f"out{secrets.token_hex(16)}"

        async def chunks() -> AsyncIterator[bytes]:
            # Opened here, not in a thread: a caller cancelled meanwhile would leave an open file that nobody has.
            with storage_errors(path), path.open("rb") as file:
                while chunk := await asyncio.to_thread(file.read, TOGETHER):
                    yield chunk
                    progress(len(chunk))

        try:
            digest, size = await self._blobs.take(upload_id, moving.counted(chunks(), start=0), limit=limit)
        except BaseException:
            await self._blobs.abandon(upload_id)
            raise
        return KeptAttachment(digest, size, None)

    async def is_blob(self, digest: Sha256Hex) -> bool:
        """Whether the bytes are a blob."""
        return await self._blobs.size(digest) is not None

    async def touch(self, digests: Iterable[Sha256Hex]) -> None:
        """Count blobs as placed now: a message is about to name them. Raises Unavailable: `blob-missing`."""
        for digest in digests:
            await self._blobs.touch(digest)

    async def small(self, digest: Sha256Hex) -> bytes | None:
        """The bytes of a short attachment; None if it is not here, or not short."""
        return await self._database.read(lambda transaction: messages.small_blob(transaction, digest))

    @contextlib.asynccontextmanager
    async def open_kept(self, kept: KeptAttachment, start: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes from `start` on of what was kept, though no message names it yet; otherwise as `open`."""
        stream = self._blobs.stream(kept.digest, start=start) if kept.content is None else _once(kept.content[start:])
        async with contextlib.aclosing(stream):
            yield stream

    @contextlib.asynccontextmanager
    async def open(self, digest: Sha256Hex, start: int = 0) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes from `start` on, as a stream of chunks; it raises Unavailable (`blob-missing`) if they are gone."""
        content = await self.small(digest)
        stream = self._blobs.stream(digest, start=start) if content is None else _once(content[start:])
        async with contextlib.aclosing(stream):
            yield stream


def _look_each(wanted: Sequence[_Wanted]) -> list[KeptAttachment | int | Exception]:
    outcomes: list[KeptAttachment | int | Exception] = []
    for each in wanted:
        try:
            outcomes.append(_look(each.path, each.limit))
        except (OSError, Rejected) as error:
            outcomes.append(error)
    return outcomes


def _look(path: Path, limit: int) -> KeptAttachment | int:
    """The file if it is short, its size if it is not."""
    if not path.is_file():
        raise Rejected("file-missing", f"{path}: there is no such file.", mend="Check the path.")
    size = path.stat().st_size
    if size > limit:
        raise LimitExceeded(
            "attachment-too-large",
            f"{path} has {size} bytes; {limit} are allowed.",
            mend="Split the attachment, or have the limit raised here and at the hub.",
        )
    if size > SMALL:
        return size
    with path.open("rb") as file:
        content = file.read(SMALL + 1)
    if len(content) > SMALL:
        # It grows while it is read.
        return len(content)
    return KeptAttachment(hashlib.sha256(content).hexdigest(), len(content), content)


async def _once(content: bytes) -> AsyncGenerator[bytes, None]:
    if content:
        yield content
