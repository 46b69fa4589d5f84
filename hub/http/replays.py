"""What a restored node asks for: `POST /v1/mailbox/replays`, `GET /v1/messages?since=&after=`, and its envelopes."""

from __future__ import annotations

from datetime import datetime

from aiohttp import web

from hub.http.bodies import pieces_of, read_within
from hub.http.peer import peer_of
from hub.usecases.replays import Replays
from schemas.errors import LimitExceeded, Rejected
from transport import paths
from transport.wire import ReplaysRequest, decode

#: A request is one number; the seconds a peer may take to send it.
_BYTES = 1024
_SILENCE = 60.0
_MOST = 2**63 - 1


def replay_routes(replays: Replays) -> list[web.RouteDef]:
    """The routes of this module."""

    def too_large() -> LimitExceeded:
        return LimitExceeded("too-large", f"A request for replays has {_BYTES} bytes at most.")

    async def reopen(request: web.Request) -> web.Response:
        peer = peer_of(request)
        body = await read_within(pieces_of(request, silence=_SILENCE), _BYTES, too_large)
        answer = await replays.reopen(peer.connection, decode(ReplaysRequest, body).after)
        return web.Response(body=answer.encode(), content_type=paths.JSON_TYPE)

    async def sent(request: web.Request) -> web.Response:
        peer = peer_of(request)
        answer = await replays.sent(peer.connection, _since(request), _after(request))
        return web.Response(body=answer.encode(), content_type=paths.JSON_TYPE)

    async def envelope(request: web.Request) -> web.Response:
        peer = peer_of(request)
        body = await replays.envelope(peer.connection, request.match_info["message"])
        return web.Response(body=body, content_type=paths.ENVELOPE_TYPE)

    return [
        web.post(paths.REPLAYS, reopen),
        web.get(paths.MESSAGES, sent, allow_head=False),
        web.get(paths.MESSAGES + "/{message}/envelope", envelope, allow_head=False),
    ]


def _since(request: web.Request) -> datetime | None:
    text = request.query.get("since")
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError("it has no offset")
    except ValueError as error:
        raise Rejected(
            "request-malformed",
            f"since: {text[:40]!r} is no instant.",
            element="since",
            mend="Give it as 2026-11-22T07:30:00+00:00.",
        ) from error
    return at


def _after(request: web.Request) -> int:
    text = request.query.get("after", "0")
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and int(text) <= _MOST):
        raise Rejected(
            "request-malformed",
            f"after: {text[:20]!r} is no number.",
            element="after",
            mend="Give the number `next` of the answer before, 0 for none.",
        )
    return int(text)
