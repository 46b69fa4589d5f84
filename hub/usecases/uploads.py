"""Uploads: the attachments that a submission still lacks come here, in as many pieces as the network needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Collection
from dataclasses import dataclass, replace
from functools import partial

from hub.store import submissions
from hub.store.submissions import Upload
from hub.usecases.intake import SHORT, require_digest
from hub.usecases.space import require_space
from runtime.blobs import BlobStore
from runtime.clock import Clock
from runtime.database import Database
from schemas.errors import Rejected, Unavailable


@dataclass(frozen=True, slots=True)
class Progress:
    """How many bytes of an upload are here, of how many."""

    offset: int
    size: int


class Uploads:
    """Uploads by their ids, each its connection's alone.

    The latest writer of an upload wins: an earlier one is cut off, for its network may be gone without notice.
    """

    def __init__(self, database: Database, blobs: BlobStore, clock: Clock, *, spare: int) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._spare = spare
        self._writers: dict[str, asyncio.Task[int]] = {}

    @property
    def in_progress(self) -> Collection[str]:
        """The uploads that are being written at this moment."""
        return tuple(self._writers)

    async def progress(self, connection: str, upload_id: str) -> Progress:
        """Where an upload stands. Raises `upload-unknown`."""
        upload = await self._find(connection, upload_id)
        return Progress(await self.offset(upload), upload.size)

    async def offset(self, upload: Upload) -> int:
        """How many bytes of `upload` are here."""
        return upload.size if upload.complete else await self._blobs.upload_offset(upload.file)

    async def append(self, connection: str, upload_id: str, offset: int, chunks: AsyncIterable[bytes]) -> Progress:
        """Append `chunks` at `offset`; an upload that is whole then is checked.

        Raises:
            Rejected: `upload-unknown`, `upload-offset`, `attachment-too-large`, `attachment-digest`.
            Unavailable: `storage-full`.
        """
        upload = await self._find(connection, upload_id)
        if upload.complete:
            if offset != upload.size:
                raise Rejected("upload-offset", f"The upload is complete; it has {upload.size} bytes.")
            return Progress(upload.size, upload.size)
        require_space(self._blobs, upload.size - offset, spare=self._spare)
        earlier = self._writers.get(upload_id)
        writer = asyncio.create_task(self._append(upload, offset, chunks, after=earlier), name=f"upload.{upload_id}")
        self._writers[upload_id] = writer
        try:
            position = await writer
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise Unavailable("upload-busy", "A later request goes on with this upload.") from error
        finally:
            if self._writers.get(upload_id) is writer:
                del self._writers[upload_id]
        return Progress(position, upload.size)

    async def settle(self, upload: Upload) -> Upload:
        """The upload as it stands, checked if all its bytes are here. Raises `attachment-digest`."""
        if upload.complete:
            if upload.content is not None or await self._is_held(upload):
                return upload
            # An acceptance failed after it had put the file in its place, where a sweep took it for a leaving.
            await self._database.write(partial(submissions.lose, upload=upload.upload))
            return replace(upload, complete=False)
        if await self._blobs.upload_offset(upload.file) != upload.size:
            return upload
        content = None
        if upload.size <= SHORT:
            # Nothing has to come of an attachment without bytes.
            content = await self._blobs.read_upload(upload.file) if upload.size else b""
            try:
                require_digest(content, upload.digest, upload.size)
            except Rejected:
                await self._blobs.abandon(upload.file)
                raise
        else:
            await self._blobs.check(upload.file, upload.digest, upload.size)
        await self._database.write(partial(submissions.complete, upload=upload.upload, content=content))
        return replace(upload, complete=True, content=content)

    async def _append(
        self, upload: Upload, offset: int, chunks: AsyncIterable[bytes], *, after: asyncio.Task[int] | None
    ) -> int:
        if after is not None:
            after.cancel()
            await _ended(after)
        try:
            position = await self._blobs.append(upload.file, offset, chunks, limit=upload.size)
        finally:
            progress = partial(submissions.note_progress, upload=upload.upload, at=self._clock())
            await asyncio.shield(self._database.write(progress))
        await self.settle(upload)
        return position

    async def _is_held(self, upload: Upload) -> bool:
        placed = await self._blobs.size(upload.digest)
        return upload.size in (placed, await self._blobs.upload_offset(upload.file))

    async def _find(self, connection: str, upload_id: str) -> Upload:
        upload = await self._database.read(partial(submissions.upload_of, connection=connection, upload=upload_id))
        if upload is None:
            raise Rejected(
                "upload-unknown",
                "There is no such upload.",
                mend="Submit the envelope again; the answer says where to.",
            )
        return upload


async def _ended(task: asyncio.Task[int]) -> None:
    """Wait until `task` is over, also when this one is cancelled meanwhile: two must not write one file."""
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
