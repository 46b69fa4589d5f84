"""Bodies of requests, piece by piece: within a limit, and not from a peer that falls silent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from typing import Final

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError, PayloadEncodingError

from runtime.blobs import CHUNK
from schemas.errors import CongvanError, Rejected, Unavailable

#: Bytes asked of a part at a time; a part's reader finds its boundary in pieces of this size.
_PART_PIECE: Final = 64 * 1024


async def read_within(pieces: AsyncIterable[bytes], limit: int, refusal: Callable[[], CongvanError]) -> bytes:
    """All of a body; `refusal` is raised as soon as more than `limit` bytes have come."""
    read: list[bytes] = []
    async for piece in pieces:
        limit -= len(piece)
        if limit < 0:
            raise refusal()
        read.append(piece)
    return b"".join(read)


async def pieces_of(request: web.Request, *, silence: float) -> AsyncIterator[bytes]:
    """The body as it comes. A peer that says nothing for `silence` seconds is cut off (`request-timeout`)."""
    while not request.content.at_eof():
        with _body_errors():
            async with asyncio.timeout(silence):
                piece = await request.content.readany()
        yield piece


async def pieces_of_part(part: BodyPartReader, *, silence: float) -> AsyncIterator[bytes]:
    """The same of a part of a multipart body; `request-malformed` if it is none."""
    while not part.at_eof():
        with _body_errors(), multipart_errors():
            async with asyncio.timeout(silence):
                piece = await part.read_chunk(_PART_PIECE)
        yield piece


async def next_part(parts: MultipartReader, *, silence: float) -> BodyPartReader | None:
    """The next part of a multipart body, None after the last; its head must come within `silence` seconds."""
    with _body_errors(), multipart_errors():
        async with asyncio.timeout(silence):
            part = await parts.next()
    if isinstance(part, MultipartReader):
        raise Rejected("request-malformed", "A part of the submission is a multipart itself.")
    return part


async def gathered(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces large enough for the disk. When the peer breaks off, what came is given first."""
    held: list[bytes] = []
    length = 0
    try:
        async for piece in pieces:
            held.append(piece)
            length += len(piece)
            if length >= CHUNK:
                yield b"".join(held)
                held, length = [], 0
    except (CongvanError, ConnectionError):
        if held:
            yield b"".join(held)
        raise
    if held:
        yield b"".join(held)


@contextlib.contextmanager
def multipart_errors() -> Iterator[None]:
    """Turn what aiohttp raises on a malformed multipart body into `request-malformed`."""
    try:
        yield
    except (ValueError, RuntimeError, AssertionError, HttpProcessingError) as error:
        raise Rejected("request-malformed", f"The multipart body is malformed: {error}.") from error


@contextlib.contextmanager
def _body_errors() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise Unavailable("request-timeout", "The peer fell silent in the middle of its request.") from error
    except PayloadEncodingError as error:
        raise Unavailable("request-broken-off", "The request broke off in the middle of its body.") from error
