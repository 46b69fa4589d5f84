"""`GET /v1/mailbox?wait=&limit=&express=`: what waits for the connection, leased to it."""

from __future__ import annotations

import math

from aiohttp import web

from hub.http.peer import peer_of
from hub.settings_exchange import MailboxSettings
from hub.usecases.mailbox import Mailbox
from hub.usecases.mailbox_answer import encoded_answer
from schemas.errors import Rejected
from transport import paths


def mailbox_routes(mailbox: Mailbox, settings: MailboxSettings, epoch: str) -> list[web.RouteDef]:
    """The routes of this module."""

    async def fetch(request: web.Request) -> web.Response:
        peer = peer_of(request)
        batch = await mailbox.fetch(
            peer.connection,
            wait=_wait(request),
            limit=_limit(request, settings.entries),
            express=request.query.get("express") == "1",
            listening=lambda: request.transport is not None and not request.transport.is_closing(),
        )
        return web.Response(body=await encoded_answer(batch, epoch), content_type=paths.JSON_TYPE)

    return [web.get(paths.MAILBOX, fetch, allow_head=False)]


def _wait(request: web.Request) -> float:
    text = request.query.get("wait", "0")
    try:
        wait = float(text)
    except ValueError:
        wait = math.nan
    if not 0 <= wait < math.inf:
        raise Rejected(
            "request-malformed",
            f"wait: {text[:20]!r} is no number of seconds.",
            element="wait",
            mend="Give the seconds to wait for a first entry.",
        )
    return wait


def _limit(request: web.Request, most: int) -> int:
    text = request.query.get("limit", str(most))
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise Rejected(
            "request-malformed",
            f"limit: {text[:20]!r} is no number of entries.",
            element="limit",
            mend="Give the most entries to lease; 0 leases none.",
        )
    return int(text)
