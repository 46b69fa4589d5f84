"""Uploads: the attachments that a submission still lacks come here, in as many pieces as the network needs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from hub.store import submissions
from hub.store.submissions import Upload, UploadStanding
from hub.usecases.intake import SHORT, require_digest
from hub.usecases.places import Places
from hub.usecases.space import Room
from hub.usecases.turns import Turns
from runtime.blobs import BlobStore
from runtime.clock import Clock
from runtime.database import Database
from schemas.envelope import Sha256Hex
from schemas.errors import CongvanError, Rejected, Unavailable

#: How often it is noted how much of an upload came: until then that much counts as promised besides.
_NOTE_EVERY: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Progress:
    """How many bytes of an upload are here, of how many.

    `expires_at`: it is dropped then, if nothing comes until then; None for one that is complete. `description` is what
    its client said of it.
    """

    upload: str
    offset: int
    size: int
    expires_at: datetime | None
    description: str | None


@dataclass(frozen=True, slots=True)
class UploadTerms:
    """What uploads run under: the room and the turns at the disk, the places of each connection, and the time without
    any byte after which an upload is dropped."""

    room: Room
    turns: Turns
    places: Places
    patience: timedelta


class Uploads:
    """Uploads by their ids, each its connection's alone.

    The latest writer of an upload wins: an earlier one is cut off, for its network may be gone without notice.
    """

    def __init__(self, database: Database, blobs: BlobStore, clock: Clock, terms: UploadTerms) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._terms = terms
        self._writers: dict[str, asyncio.Task[int]] = {}

    @property
    def in_progress(self) -> Collection[str]:
        """The uploads that are being written at this moment."""
        return tuple(self._writers)

    async def progress(self, connection: str, upload_id: str) -> Progress:
        """Where an upload stands. Raises `upload-unknown`."""
        standing = await self._find(connection, upload_id)
        return self._progress(standing, await self.offset(standing.upload), standing.touched_at)

    async def create(
        self, connection: str, message_id: Sha256Hex, digest: Sha256Hex, size: int, description: str
    ) -> Progress:
        """The upload that the hub made for an attachment when its envelope was submitted; asked twice, it is the same.

        Raises Rejected: `upload-unknown`: no submission of the connection waits for it; `upload-length`.
        """
        describe = partial(
            submissions.describe,
            connection=connection,
            message_id=message_id,
            digest=digest,
            description=description,
        )
        standing = await self._database.write(describe)
        if standing is None:
            raise Rejected(
                "upload-unknown",
                "No submission of this connection waits for that attachment of that message.",
                mend="Submit the envelope first: it says what is to be uploaded.",
            )
        if standing.upload.size != size:
            raise Rejected("upload-length", f"The envelope names {standing.upload.size} bytes, not {size}.")
        return self._progress(standing, await self.offset(standing.upload), standing.touched_at)

    async def terminate(self, connection: str, upload_id: str) -> None:
        """Drop an upload; the submission that waits for it is told of a new one. Raises `upload-unknown`."""
        if (writer := self._writers.get(upload_id)) is not None:
            await self._find(connection, upload_id)
            writer.cancel()
            await _ended(writer)
        drop = partial(submissions.drop_upload, connection=connection, upload=upload_id)
        file = await self._database.write(drop)
        if file is None:
            raise _unknown()
        await self._blobs.abandon(file)

    async def offset(self, upload: Upload) -> int:
        """How many bytes of `upload` are here."""
        return upload.size if upload.complete else await self._blobs.upload_offset(upload.file)

    async def append(self, connection: str, upload_id: str, offset: int, chunks: AsyncIterable[bytes]) -> Progress:
        """Append `chunks` at `offset`; an upload that is whole then is checked.

        Raises:
            Rejected: `upload-unknown`, `upload-offset`, `attachment-too-large`, `attachment-digest`.
            Unavailable: `storage-full`, `too-many-requests`, `upload-busy`.
        """
        standing = await self._find(connection, upload_id)
        upload = standing.upload
        if upload.complete:
            if offset != upload.size:
                raise Rejected("upload-offset", f"The upload is complete; it has {upload.size} bytes.")
            return self._progress(standing, upload.size, standing.touched_at)
        self._terms.room.require(upload.size - offset)
        with self._terms.places.take(connection):
            position = await self._write(upload, offset, self._terms.turns.written(connection, chunks))
        return self._progress(standing, position, self._clock())

    async def _write(self, upload: Upload, offset: int, pieces: AsyncGenerator[bytes, None]) -> int:
        upload_id = upload.upload
        earlier = self._writers.get(upload_id)
        writer = asyncio.create_task(self._append(upload, offset, pieces, after=earlier), name=f"upload.{upload_id}")
        self._writers[upload_id] = writer
        try:
            return await writer
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise Unavailable("upload-busy", "A later request goes on with this upload.") from error
        finally:
            if self._writers.get(upload_id) is writer:
                del self._writers[upload_id]

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
        self, upload: Upload, offset: int, pieces: AsyncGenerator[bytes, None], *, after: asyncio.Task[int] | None
    ) -> int:
        if after is not None:
            after.cancel()
            await _ended(after)
        try:
            async with contextlib.aclosing(pieces), contextlib.aclosing(self._noted(upload, offset, pieces)) as noted:
                position = await self._blobs.append(upload.file, offset, noted, limit=upload.size)
        except BaseException:
            # What broke it off is what is told; the store that failed may not say how far it came either.
            with contextlib.suppress(CongvanError):
                await asyncio.shield(self._note_arrived(upload))
            raise
        await self._note_arrived(upload)
        try:
            await self.settle(upload)
        except Rejected:
            await self._note(upload, 0)
            raise
        return position

    async def _noted(
        self, upload: Upload, offset: int, pieces: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        """The pieces; now and then what came is noted, for in the end it may be hours until all is here."""
        noted_at = self._clock()
        async for piece in pieces:
            yield piece
            offset += len(piece)
            if self._clock() - noted_at >= _NOTE_EVERY:
                await self._note(upload, offset)
                noted_at = self._clock()

    async def _note_arrived(self, upload: Upload) -> None:
        await self._note(upload, await self._blobs.upload_offset(upload.file))

    async def _note(self, upload: Upload, received: int) -> None:
        note = partial(submissions.note_progress, upload=upload.upload, received=received, at=self._clock())
        await self._database.write(note)

    def _progress(self, standing: UploadStanding, offset: int, touched_at: datetime) -> Progress:
        upload = standing.upload
        expires_at = None if offset == upload.size else touched_at + self._terms.patience
        return Progress(upload.upload, offset, upload.size, expires_at, standing.description)

    async def _is_held(self, upload: Upload) -> bool:
        placed = await self._blobs.size(upload.digest)
        return upload.size in (placed, await self._blobs.upload_offset(upload.file))

    async def _find(self, connection: str, upload_id: str) -> UploadStanding:
        find = partial(submissions.upload_of, connection=connection, upload=upload_id)
        standing = await self._database.read(find)
        if standing is None:
            raise _unknown()
        return standing


def _unknown() -> Rejected:
    return Rejected(
        "upload-unknown",
        "There is no such upload.",
        mend="Submit the envelope again; the answer says where to.",
    )


async def _ended(task: asyncio.Task[int]) -> None:
    """Wait until `task` is over, also when this one is cancelled meanwhile: two must not write one file."""
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
