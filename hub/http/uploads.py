"""Calls at and below `/v1/uploads`: resumable uploads as tus 1.0.0 has them.

https://tus.io/protocols/resumable-upload: the core protocol, and the extensions creation, expiration and termination.
Creation leads to the upload that the hub has made when the envelope was submitted: nothing else can be uploaded.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from email.utils import format_datetime
from functools import wraps
from typing import Final

from aiohttp import web

from hub.http.bodies import gathered, pieces_of
from hub.http.peer import peer_of
from hub.http.problems import problem_response
from hub.settings_exchange import SubmissionSettings
from hub.usecases.uploads import Progress, Uploads
from schemas.envelope import is_sha256_hex
from schemas.errors import CongvanError, Rejected
from transport import paths

_UPLOAD: Final = paths.UPLOADS + "/{upload}"
_EXTENSIONS: Final = "creation,expiration,termination"

#: No attachment is as long as this, and any database holds it.
_MOST: Final = 2**63 - 1
#: What a client may say of an upload, beside what must be said.
_MOST_METADATA: Final = 4096

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def upload_routes(uploads: Uploads, settings: SubmissionSettings) -> list[web.RouteDef]:
    """The routes of this module."""

    async def head(request: web.Request) -> web.Response:
        progress = await uploads.progress(peer_of(request).connection, request.match_info["upload"])
        headers = _headers(progress)
        if progress.description is not None:
            headers["Upload-Metadata"] = progress.description
        return web.Response(status=200, headers=headers)

    async def patch(request: web.Request) -> web.Response:
        peer = peer_of(request)
        if request.content_type != paths.OFFSET_TYPE:
            raise Rejected("media-type", f"The bytes of an upload come as {paths.OFFSET_TYPE}.")
        progress = await uploads.append(
            peer.connection,
            request.match_info["upload"],
            _number(request, "Upload-Offset"),
            gathered(pieces_of(request, silence=settings.silence_seconds)),
        )
        return web.Response(status=204, headers=_headers(progress))

    async def create(request: web.Request) -> web.Response:
        peer = peer_of(request)
        size = _number(request, "Upload-Length")
        if size > settings.attachment_bytes:
            raise Rejected("attachment-too-large", f"An attachment has {settings.attachment_bytes} bytes at most.")
        description = request.headers.get("Upload-Metadata", "")
        named = _metadata(description)
        progress = await uploads.create(peer.connection, named["message"], named["digest"], size, description)
        location = f"{paths.UPLOADS}/{progress.upload}"
        return web.Response(status=201, headers=_headers(progress) | {"Location": location})

    async def terminate(request: web.Request) -> web.Response:
        await uploads.terminate(peer_of(request).connection, request.match_info["upload"])
        return web.Response(status=204)

    async def options(_request: web.Request) -> web.Response:
        return web.Response(
            status=204,
            headers={
                "Tus-Resumable": paths.TUS_VERSION,
                "Tus-Version": paths.TUS_VERSION,
                "Tus-Extension": _EXTENSIONS,
                "Tus-Max-Size": str(settings.attachment_bytes),
            },
        )

    at_creation = _resumable({"OPTIONS": options, "POST": create})
    at_upload = _resumable({"OPTIONS": options, "HEAD": head, "PATCH": patch, "DELETE": terminate})
    return [web.route("*", paths.UPLOADS, at_creation), web.route("*", _UPLOAD, at_upload)]


def _resumable(handlers: Mapping[str, _Handler]) -> _Handler:
    """The handler that chooses by method, which a client behind a narrow proxy may give in X-HTTP-Method-Override.

    Every answer names the protocol's version, an error too; a request of another version is refused with 412. OPTIONS
    alone needs none: by it a client learns the version.
    """

    async def chosen(request: web.Request) -> web.StreamResponse:
        method = request.headers.get("X-HTTP-Method-Override", request.method).upper()
        if method not in handlers:
            raise Rejected("method-not-allowed", "This address does not take that method.")
        if method != "OPTIONS" and request.headers.get("Tus-Resumable") != paths.TUS_VERSION:
            raise Rejected(
                "upload-version",
                f"Uploads are made by tus {paths.TUS_VERSION}; the request names another version, or none.",
                mend=f"Send Tus-Resumable: {paths.TUS_VERSION}.",
            )
        return await handlers[method](request)

    @wraps(chosen)
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            response = await chosen(request)
        except CongvanError as error:
            response = problem_response(error)
            if error.code == "upload-version":
                response.headers["Tus-Version"] = paths.TUS_VERSION
        response.headers["Tus-Resumable"] = paths.TUS_VERSION
        return response

    return handle


def _headers(progress: Progress) -> dict[str, str]:
    headers = {
        "Upload-Offset": str(progress.offset),
        "Upload-Length": str(progress.size),
        # What is true of an upload now is not true a moment later.
        "Cache-Control": "no-store",
    }
    if progress.expires_at is not None:
        headers["Upload-Expires"] = format_datetime(progress.expires_at, usegmt=True)
    return headers


def _number(request: web.Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and int(text) <= _MOST):
        raise Rejected("request-malformed", f"{header}: {text[:20]!r} is no number of bytes.")
    return int(text)


def _metadata(header: str) -> dict[str, str]:
    """The values of Upload-Metadata, which must name the message and the attachment."""
    found: dict[str, str] = {}
    try:
        if len(header) > _MOST_METADATA:
            raise ValueError(f"it has more than {_MOST_METADATA} characters")
        if not header.isascii():
            raise ValueError("it holds other characters than those of ASCII")
        for pair in header.split(","):
            name, _, value = pair.strip().partition(" ")
            if not name or name in found:
                raise ValueError("a key is empty, or stands there twice")
            found[name] = b64decode(value, validate=True).decode()
        if not all(is_sha256_hex(found.get(name, "")) for name in ("message", "digest")):
            raise ValueError("`message` and `digest` are to be SHA-256 in lower-case hex")
    except (ValueError, binascii.Error) as error:
        raise Rejected(
            "request-malformed",
            f"Upload-Metadata is malformed: {error}.",
            mend="Send `message <base64>,digest <base64>`: the message id, and the attachment's digest.",
        ) from error
    return found
