"""`GET /v1/directory?since=N`: the signed versions of the agency directory after N."""

from __future__ import annotations

import asyncio
import gzip
from typing import Final

from aiohttp import web

from hub.http.peer import peer_of
from hub.usecases.directory import directory_after
from runtime.database import Database
from schemas.errors import Rejected
from schemas.limits import KIB
from transport import paths

#: An answer shorter than this goes as it is. Of the levels 6 is where gzip gets slow for little.
_WORTH_GZIP: Final = 64 * KIB
_GZIP_LEVEL: Final = 6

#: No directory has this many versions; a larger number is no number that a database takes.
_MOST = 2**31 - 1


def directory_routes(database: Database) -> list[web.RouteDef]:
    """The routes of this module."""

    async def versions(request: web.Request) -> web.Response:
        peer_of(request)
        answer = await directory_after(database, _since(request))
        # One version can hold every agency of the country.
        body = await asyncio.to_thread(answer.encode)
        if len(body) < _WORTH_GZIP or "gzip" not in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=body, content_type=paths.JSON_TYPE)
        # 31 MB with 120,000 agencies, 3 as gzip, for 0.3 s of a thread.
        smaller = await asyncio.to_thread(gzip.compress, body, _GZIP_LEVEL)
        return web.Response(body=smaller, content_type=paths.JSON_TYPE, headers={"Content-Encoding": "gzip"})

    return [web.get(paths.DIRECTORY, versions)]


def _since(request: web.Request) -> int:
    text = request.query.get("since", "0")
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= _MOST):
        raise Rejected(
            "request-malformed",
            f"since: {text[:20]!r} is no number of a version.",
            element="since",
            mend="Give the number of the newest version that is applied, 0 for none.",
        )
    return int(text)
