"""`GET /v1/messages/{id}`: the trace of a message that the connection sent or received."""

from __future__ import annotations

import asyncio

from aiohttp import web

from hub.http.peer import peer_of
from hub.usecases.trace import Traces
from transport import paths


def message_routes(traces: Traces) -> list[web.RouteDef]:
    """The routes of this module."""

    async def show(request: web.Request) -> web.Response:
        peer = peer_of(request)
        trace = await traces.trace(request.match_info["message"], peer.connection)
        # A circular's trace has thousands of rows: it is written in a thread.
        return web.Response(body=await asyncio.to_thread(trace.encode), content_type=paths.JSON_TYPE)

    return [web.get(paths.MESSAGES + "/{message}", show, allow_head=False)]
