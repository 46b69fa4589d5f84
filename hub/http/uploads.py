"""`HEAD`, `PATCH` and `OPTIONS` below `/v1/uploads`: resumable uploads as tus 1.0.0 has them, the core protocol alone.

https://tus.io/protocols/resumable-upload
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final

from aiohttp import web

from hub.http.bodies import gathered, pieces_of
from hub.http.peer import peer_of
from hub.http.problems import problem_response
from hub.settings_exchange import SubmissionSettings
from hub.usecases.uploads import Progress, Uploads
from schemas.errors import CongvanError, Rejected
from transport import paths

_UPLOAD: Final = paths.UPLOADS + "/{upload}"

#: No attachment is as long as this, and any database holds it.
_MOST: Final = 2**63 - 1


def upload_routes(uploads: Uploads, settings: SubmissionSettings) -> list[web.RouteDef]:
    """The routes of this module."""

    @_resumable
    async def head(request: web.Request) -> web.Response:
        peer = peer_of(request)
        progress = await uploads.progress(peer.connection, request.match_info["upload"])
        return web.Response(status=200, headers=_headers(progress))

    @_resumable
    async def patch(request: web.Request) -> web.Response:
        peer = peer_of(request)
        if request.content_type != paths.OFFSET_TYPE:
            raise Rejected("media-type", f"The bytes of an upload come as {paths.OFFSET_TYPE}.")
        progress = await uploads.append(
            peer.connection,
            request.match_info["upload"],
            _offset(request),
            gathered(pieces_of(request, silence=settings.silence_seconds)),
        )
        return web.Response(status=204, headers=_headers(progress))

    async def options(_request: web.Request) -> web.Response:
        return web.Response(
            status=204,
            headers={
                "Tus-Resumable": paths.TUS_VERSION,
                "Tus-Version": paths.TUS_VERSION,
                "Tus-Max-Size": str(settings.attachment_bytes),
            },
        )

    return [
        web.head(_UPLOAD, head),
        web.patch(_UPLOAD, patch),
        web.options(paths.UPLOADS, options),
        web.options(_UPLOAD, options),
    ]


_Handler = Callable[[web.Request], Awaitable[web.Response]]


def _resumable(handler: _Handler) -> _Handler:
    """Every answer names the protocol's version, an error too; a request of another version is refused with 412."""

    @wraps(handler)
    async def handle(request: web.Request) -> web.Response:
        try:
            if request.headers.get("Tus-Resumable") != paths.TUS_VERSION:
                raise Rejected(
                    "upload-version",
                    f"Uploads are made by tus {paths.TUS_VERSION}; the request names another version, or none.",
                    mend=f"Send Tus-Resumable: {paths.TUS_VERSION}.",
                )
            response = await handler(request)
        except CongvanError as error:
            response = problem_response(error)
            if error.code == "upload-version":
                response.headers["Tus-Version"] = paths.TUS_VERSION
        response.headers["Tus-Resumable"] = paths.TUS_VERSION
        return response

    return handle


def _headers(progress: Progress) -> dict[str, str]:
    return {
        "Upload-Offset": str(progress.offset),
        "Upload-Length": str(progress.size),
        # What is true of an upload now is not true a moment later.
        "Cache-Control": "no-store",
    }


def _offset(request: web.Request) -> int:
    text = request.headers.get("Upload-Offset", "")
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and int(text) <= _MOST):
        raise Rejected("request-malformed", f"Upload-Offset: {text[:20]!r} is no number of bytes.")
    return int(text)
