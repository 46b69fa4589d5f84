"""Attachments over HTTP: streamed, in ranges, and as content that a stranger wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final
from urllib.parse import quote

from aiohttp import web

from adapters.sdk import NodeApi
from schemas.envelope import Sha256Hex
from schemas.errors import CongvanError, Rejected
from schemas.names import safe_name

BYTES: Final = "application/octet-stream"
#: Whatever a sender named or wrote, a browser must neither show nor run it.
_UNTRUSTED: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "no-store",
}


async def answer_attachment(
    request: web.Request, node: NodeApi, *, digest: Sha256Hex, size: int, name: str
) -> web.StreamResponse:
    """Answer `request` with the attachment that has this digest, or with the range of it that is asked for.

    Raises Rejected: `range`; and what `NodeApi.open_attachment` raises, before the answer begins.
    """
    first, end, partial = _range(request, digest, size)
    response = web.StreamResponse(status=206 if partial else 200, headers=untrusted_headers(name))
    response.content_type = BYTES
    response.content_length = end - first
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["ETag"] = f'"{digest}"'
    if partial:
        response.headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
    try:
        await _stream(request, response, node.open_attachment(digest, start=first), end - first)
    except CongvanError as error:
        if not response.prepared:
            raise
        # Whatever was said now would pass for bytes of the attachment: breaking off is all that tells the client.
        raise ConnectionResetError(f"the attachment broke off: {error}") from error
    return response


async def _stream(
    request: web.Request,
    response: web.StreamResponse,
    opened: AbstractAsyncContextManager[AsyncIterator[bytes]],
    left: int,
) -> None:
    async with opened as chunks:
        async for chunk in chunks:
            # Not before the first bytes are there: until then an error can still be told.
            if not response.prepared:
                await response.prepare(request)
            await response.write(chunk[:left])
            left -= min(left, len(chunk))
            if not left:
                break
    if not response.prepared:
        await response.prepare(request)
    await response.write_eof()


def untrusted_headers(name: str) -> dict[str, str]:
    """Headers of content that a sender wrote: a download under a safe name, whatever it says it is."""
    plain = safe_name(name, ())
    return {**_UNTRUSTED, "Content-Disposition": f"attachment; filename*=UTF-8''{quote(plain, safe='')}"}


def _range(request: web.Request, digest: Sha256Hex, size: int) -> tuple[int, int, bool]:
    """The first byte, the one behind the last, and whether a range was asked for (RFC 9110, 14)."""
    version = f'"{digest}"'
    if "Range" not in request.headers or request.headers.get("If-Range", version) != version:
        return 0, size, False
    try:
        asked = request.http_range
    except ValueError:
        # A range of another unit, or several: RFC 9110 lets a server send the whole instead.
        return 0, size, False
    first, end, _ = asked.indices(size)
    if first >= end:
        raise Rejected(
            "range",
            f"The attachment has {size} bytes: there is no {request.headers['Range'][:80]}.",
            element="Range",
            mend="Ask for bytes that there are.",
        )
    return first, end, True
