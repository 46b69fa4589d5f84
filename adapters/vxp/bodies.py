"""Bodies of requests and files of answers, piece by piece: no document is held in memory."""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from aiohttp import web

from adapters.spool import CHUNK, Spool
from runtime.files import storage_errors
from schemas.envelope import Sha256Hex
from schemas.errors import LimitExceeded, Rejected, Unavailable
from schemas.limits import KIB, MIB

#: A multiple of 3, so that pieces of base64 join without padding.
_PIECE: Final = 192 * KIB
_LINE_END: Final = b"\r\n"
#: Seconds for which what nobody wants is read on, so that its sender gets to read the answer.
_DRAIN_SECONDS: Final = 300.0
#: The same for who has not signed: enough for a document of a system whose secret is mistyped, and no more.
_STRANGER_SECONDS: Final = 10.0
_STRANGER_BYTES: Final = 32 * MIB


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came: its path, its size, and the SHA-256 of its bytes, without the SDK's CR LF behind them."""

    path: Path
    size: int
    digest: Sha256Hex


def has_hash(digest: bytes, text: str) -> bool:
    """Whether `text` is `digest` in hex: in full, or as the SDK writes it, each byte without its leading zero."""
    return text.lower() in (digest.hex(), "".join(f"{byte:x}" for byte in digest))


class Bodies:
    """Reads requests. Whoever is silent for `silence_seconds` in the middle of a body is given up."""

    def __init__(self, silence_seconds: float) -> None:
        self._silence = silence_seconds

    async def piece(self, request: web.BaseRequest) -> bytes:
        """What has come of the body, nothing at its end. Raises Unavailable `request-broken`."""
        try:
            async with asyncio.timeout(self._silence):
                return await request.content.readany()
        except (TimeoutError, web.RequestPayloadError, ConnectionError) as error:
            raise Unavailable("request-broken", "The request broke off.", mend="Send it again.") from error

    async def whole(self, request: web.BaseRequest, *, limit: int) -> bytes:
        """A short body. Raises `message-too-large`, `request-broken`."""
        body = bytearray()
        while piece := await self.piece(request):
            body += piece
            if len(body) > limit:
                raise _too_large(limit)
        return bytes(body)

    async def drain(self, request: web.BaseRequest) -> None:
        """Read what is left: the SDK reads no answer before it has sent everything."""
        await self._drain(request, _DRAIN_SECONDS, None)

    async def drain_stranger(self, request: web.BaseRequest) -> bool:
        """The same for a request that nobody has signed, within narrow bounds; False if more than that is left."""
        return await self._drain(request, _STRANGER_SECONDS, _STRANGER_BYTES)

    async def _drain(self, request: web.BaseRequest, seconds: float, most: int | None) -> bool:
        size = 0
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(seconds):
                while piece := await self.piece(request):
                    size += len(piece)
                    if most is not None and size > most:
                        return False
                return True
        return False

    async def upload(self, request: web.BaseRequest, spool: Spool, *, limit: int, hash_file: str) -> Upload:
        """The file that is the body, in `spool`, if it has the hash `hash_file`.

        The SDK adds a CR LF, which is neither in the hash nor in the file. Raises `message-too-large`,
        `hash-file-wrong`, Unavailable `request-broken` and those of storage.
        """
        if (request.content_length or 0) > limit + len(_LINE_END):
            raise _too_large(limit)
        file = await asyncio.to_thread(spool.new_file)
        try:
            held = _Held(file)
            pieces = bytearray()
            while piece := await self.piece(request):
                pieces += piece
                if held.size + len(pieces) > limit + len(_LINE_END):
                    raise _too_large(limit)
                if len(pieces) >= CHUNK:
                    await asyncio.to_thread(held.write, bytes(pieces))
                    pieces.clear()
            return await asyncio.to_thread(held.settled, bytes(pieces), hash_file)
        finally:
            file.close()


class _Held:
    """A file being written, its last two bytes held back until it is known whether they are the SDK's."""

    def __init__(self, file: BinaryIO) -> None:
        self.size = 0
        self._file = file
        self._path = Path(file.name)
        self._digest = hashlib.sha256()
        self._tail = b""

    def write(self, data: bytes) -> None:
        self.size += len(data)
        data = self._tail + data
        ready, self._tail = data[: -len(_LINE_END)], data[-len(_LINE_END) :]
        self._put(ready)

    def settled(self, data: bytes, hash_file: str) -> Upload:
        self.write(data)
        if self._tail == _LINE_END and has_hash(self._digest.digest(), hash_file):
            self.size -= len(_LINE_END)
        else:
            # Other clients add nothing.
            self._put(self._tail)
            if not has_hash(self._digest.digest(), hash_file):
                raise Rejected(
                    "hash-file-wrong",
                    "The file has another SHA-256 than hash-file says.",
                    mend="Send it again: it was damaged on its way.",
                )
        with storage_errors(self._path):
            self._file.flush()
        return Upload(self._path, self.size, self._digest.hexdigest())

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        with storage_errors(self._path):
            self._file.write(data)


def file_pieces(path: Path, size: int = CHUNK) -> Generator[bytes, None, None]:
    """The bytes of a file of the spool, in pieces of `size`. Blocks."""
    with storage_errors(path), path.open("rb") as file:
        while piece := file.read(size):
            yield piece


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """A file as an answer; as base64 between `head` and `tail` if there are such."""

    path: Path
    size: int
    head: bytes = b""
    tail: bytes = b""

    @property
    def as_base64(self) -> bool:
        return bool(self.head)

    @property
    def length(self) -> int:
        body = (self.size + 2) // 3 * 4 if self.as_base64 else self.size
        return len(self.head) + body + len(self.tail)

    async def send(self, request: web.BaseRequest, content_type: str, *, silence_seconds: float) -> web.StreamResponse:
        """Stream it. A reader may be slow (the SDK takes 1 MB/s), but not silent: then the answer breaks off."""
        response = web.StreamResponse(headers={"Content-Type": content_type})
        response.content_length = self.length
        await response.prepare(request)
        pieces = self._pieces()
        try:
            while piece := await asyncio.to_thread(next, pieces, b""):
                async with asyncio.timeout(silence_seconds):
                    await response.write(piece)
            await response.write_eof()
        except (OSError, TimeoutError, Unavailable) as error:
            if request.transport is not None:
                # A close would wait for the reader to take what it was sent.
                request.transport.abort()
            raise ConnectionResetError("the answer broke off") from error
        finally:
            await asyncio.to_thread(pieces.close)
        return response

    def _pieces(self) -> Generator[bytes, None, None]:
        if self.head:
            yield self.head
        for piece in file_pieces(self.path, _PIECE):
            yield binascii.b2a_base64(piece, newline=False) if self.as_base64 else piece
        if self.tail:
            yield self.tail


def _too_large(limit: int) -> LimitExceeded:
    return LimitExceeded(
        "message-too-large",
        f"The request has more than {limit} bytes.",
        mend="Send it in several messages, or ask for a higher limit in the node's settings.",
    )
