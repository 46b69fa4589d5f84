"""`POST /v1/receipts`: what became of leased entries, and receipts of what happened later."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from hub.http.bodies import pieces_of, read_within
from hub.http.peer import peer_of
from hub.settings_exchange import ExchangeSettings
from hub.usecases.outcomes import Outcomes
from schemas.errors import LimitExceeded
from schemas.limits import KIB
from transport import paths
from transport.wire import OutcomesRequest, decode

#: A longer report is read in a thread; a shorter one takes less than the way there and back.
_QUICK: Final = 64 * KIB


def receipt_routes(outcomes: Outcomes, settings: ExchangeSettings) -> list[web.RouteDef]:
    """The routes of this module."""
    limit = settings.deliveries.report_bytes

    def too_large() -> LimitExceeded:
        return LimitExceeded("too-large", f"A report has {limit} bytes at most.", mend="Report in several requests.")

    async def report(request: web.Request) -> web.Response:
        peer = peer_of(request)
        pieces = pieces_of(request, silence=settings.submissions.silence_seconds)
        body = await read_within(pieces, limit, too_large)
        is_quick = len(body) <= _QUICK
        brought = decode(OutcomesRequest, body) if is_quick else await asyncio.to_thread(decode, OutcomesRequest, body)
        answer = await outcomes.report(peer.connection, brought)
        return web.Response(body=answer.encode(), content_type=paths.JSON_TYPE)

    return [web.post(paths.RECEIPTS, report)]
