"""Attachments that come in the body of a submission, beside their envelope."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterable, Collection
from types import TracebackType
from typing import Final, Self

from hub.store.submissions import Upload
from hub.usecases.space import Room
from runtime.blobs import BlobStore
from schemas.envelope import Envelope, Sha256Hex
from schemas.errors import Rejected
from schemas.limits import KIB

#: Attachments up to this size live in the database, and commit with the message that names them.
SHORT: Final = 64 * KIB


class Intake:
    """Takes the attachments that `envelope` names; on leaving, files that nobody kept are dropped.

    What was taken is checked against its digest, and synced if it is a file.
    """

    def __init__(self, envelope: Envelope, blobs: BlobStore, room: Room) -> None:
        self._sizes = {attachment.digest: attachment.size for attachment in envelope.extension.attachment_sizes}
        self._blobs = blobs
        self._room = room
        self._files: set[str] = set()
        self.taken: dict[Sha256Hex, Upload] = {}

    async def take(self, digest: Sha256Hex, chunks: AsyncIterable[bytes]) -> None:
        """Take the attachment with `digest`.

        Raises:
            Rejected: `attachment-unexpected`, `attachment-digest`, `attachment-too-large`.
            Unavailable: `storage-full`.
        """
        size = self._expected(digest)
        name = secrets.token_hex(16)
        content = None
        if size <= SHORT:
            content = await _read(digest, size, chunks)
        else:
            async with self._room.promised(name, size):
                self._files.add(name)
                await self._blobs.append(name, 0, chunks, limit=size)
                await self._blobs.check(name, digest, size)
        self.taken[digest] = Upload(name, digest, size, file=name, complete=True, content=content)

    def take_short(self, content: bytes) -> None:
        """Take a short attachment that is here whole; which one it is, its digest says.

        Raises Rejected: `attachment-unexpected`, `attachment-too-large`.
        """
        digest = hashlib.sha256(content).hexdigest()
        size = self._expected(digest)
        if size > SHORT:
            raise Rejected(
                "attachment-too-large",
                f"The attachment {digest} has {size} bytes; beside other submissions {SHORT} are taken.",
                mend="Submit its envelope by itself, and upload it.",
            )
        _require_attachment(digest, len(content), digest, size)
        name = secrets.token_hex(16)
        self.taken[digest] = Upload(name, digest, size, file=name, complete=True, content=content)

    def _expected(self, digest: Sha256Hex) -> int:
        """The size of an attachment that the envelope names and that has not come yet."""
        size = self._sizes.get(digest)
        if size is None or digest in self.taken:
            raise Rejected(
                "attachment-unexpected",
                f"The envelope does not name the attachment {digest}, or it came twice.",
                mend="Send each attachment that the envelope names once, and no other.",
            )
        return size

    def keep(self, files: Collection[str]) -> None:
        """Those of the files belong to a submission or a message from now on."""
        self._files.difference_update(files)

    @property
    def files(self) -> Collection[str]:
        """Files that were written and belong to nobody yet."""
        return tuple(self._files)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        for file in self._files:
            await self._blobs.abandon(file)


async def _read(digest: Sha256Hex, size: int, chunks: AsyncIterable[bytes]) -> bytes:
    parts: list[bytes] = []
    length = 0
    async for chunk in chunks:
        length += len(chunk)
        if length > size:
            raise Rejected("attachment-too-large", f"More than the announced {size} bytes were sent.")
        parts.append(chunk)
    content = b"".join(parts)
    require_digest(content, digest, size)
    return content


def require_digest(content: bytes, digest: Sha256Hex, size: int) -> None:
    """Pass if `content` is the attachment that an envelope names so; else `attachment-digest`."""
    _require_attachment(hashlib.sha256(content).hexdigest(), len(content), digest, size)


def _require_attachment(actual: Sha256Hex, length: int, digest: Sha256Hex, size: int) -> None:
    if (actual, length) != (digest, size):
        raise Rejected(
            "attachment-digest",
            f"The bytes sent as {digest} are {length} bytes with the digest {actual}.",
            mend="Send the bytes that the envelope names.",
        )
