"""`POST /v1/receipts`: what became of leased entries, and receipts of what happened later."""

from __future__ import annotations

import asyncio

from aiohttp import web

from hub.http.bodies import pieces_of, read_within
from hub.http.peer import peer_of
from hub.settings_exchange import ExchangeSettings
from hub.usecases.outcomes import Outcomes
from schemas.errors import LimitExceeded
from transport import paths
from transport.wire import OutcomesRequest, decode


def receipt_routes(outcomes: Outcomes, settings: ExchangeSettings) -> list[web.RouteDef]:
    """The routes of this module."""
    limit = settings.deliveries.report_bytes

    def too_large() -> LimitExceeded:
        return LimitExceeded("too-large", f"A report has {limit} bytes at most.", mend="Report in several requests.")

    async def report(request: web.Request) -> web.Response:
        peer = peer_of(request)
        pieces = pieces_of(request, silence=settings.submissions.silence_seconds)
        body = await read_within(pieces, limit, too_large)
        answer = await outcomes.report(peer.connection, await asyncio.to_thread(decode, OutcomesRequest, body))
        return web.Response(body=answer.encode(), content_type=paths.JSON_TYPE)

    return [web.post(paths.RECEIPTS, report)]
