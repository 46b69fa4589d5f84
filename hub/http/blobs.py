"""`GET /v1/blobs/{digest}`: an attachment, whole or from a byte on (RFC 9110, section 14)."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from hub.http.peer import peer_of
from hub.http.problems import problem_response
from hub.settings_exchange import SubmissionSettings
from hub.usecases.attachments import Attachments, LeaseClaim
from schemas.errors import Rejected, Unavailable
from transport import paths

_RANGE: Final = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))", re.ASCII)
_CLAIM: Final = re.compile(r"([0-9]{1,18}):([0-9a-f]{1,64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Span:
    """Bytes from `start` up to, not including, `end`."""

    start: int
    end: int


def blob_routes(attachments: Attachments, settings: SubmissionSettings) -> list[web.RouteDef]:
    """The routes of this module."""

    async def read(request: web.Request) -> web.StreamResponse:
        peer = peer_of(request)
        claim = _claim(request)
        blob = await attachments.find(peer.connection, request.match_info["digest"], claim)
        tag = f'"{paths.ATTACHMENT_PART_PREFIX}{blob.digest}"'
        asked = request.headers.get("Range")
        # A range is for who has the other bytes of these very ones (RFC 9110, section 13.1.5).
        span = _span(asked, blob.size) if asked and request.headers.get("If-Range", tag).strip() == tag else None
        if span is not None and span.start >= span.end:
            return _unsatisfiable(blob.size)
        with attachments.place(peer.connection):
            response = web.StreamResponse(status=200 if span is None else 206)
            response.content_type = "application/octet-stream"
            response.headers["Accept-Ranges"] = "bytes"
            response.headers["ETag"] = tag
            if span is not None:
                response.headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{blob.size}"
            start, end = (span.start, span.end) if span else (0, blob.size)
            response.content_length = end - start
            await response.prepare(request)
            async with aclosing(attachments.read(peer.connection, blob, start, end, claim)) as pieces:
                async for piece in pieces:
                    await _write(response, piece, settings.silence_seconds)
            await response.write_eof()
        return response

    return [web.get(paths.BLOBS + "/{digest}", read, allow_head=False)]


async def _write(response: web.StreamResponse, piece: bytes, silence: float) -> None:
    """Hand a piece to the peer; one that takes nothing for `silence` seconds is cut off, so as to hold no file open."""
    try:
        async with asyncio.timeout(silence):
            await response.write(piece)
    except TimeoutError as error:
        raise Unavailable("request-timeout", "The peer takes nothing of the answer.") from error


def _span(header: str, size: int) -> _Span | None:
    """The bytes that a Range header asks for, empty if there are none; None for a header that is to be passed over."""
    found = _RANGE.fullmatch(header.strip())
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        return _Span(max(0, size - int(suffix)), size)
    if last is not None and int(last) < int(first):
        return None
    return _Span(int(first), min(size, int(last) + 1) if last is not None else size)


def _unsatisfiable(size: int) -> web.Response:
    response = problem_response(
        Rejected("range", f"The attachment has {size} bytes.", mend="Ask for bytes that are there.")
    )
    response.headers["Content-Range"] = f"bytes */{size}"
    return response


def _claim(request: web.Request) -> LeaseClaim | None:
    text = request.headers.get(paths.LEASE_HEADER)
    if text is None:
        return None
    found = _CLAIM.fullmatch(text)
    if found is None:
        raise Rejected("request-malformed", f"{paths.LEASE_HEADER} is not `<entry>:<lease>`.")
    return LeaseClaim(int(found[1]), found[2])
