"""`PUT` and `DELETE /v1/agencies/{code}`: a connection declares or retires a unit below an agency that it serves."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from hub.http.bodies import pieces_of, read_within
from hub.http.peer import peer_of
from hub.usecases.units import Units
from schemas.codes import AgencyCode
from schemas.errors import LimitExceeded
from schemas.limits import KIB
from transport import paths
from transport.wire import UnitAnswer, UnitForm, UnitState, decode

#: Bytes of a unit as JSON: a name of 500 characters, escaped, with a margin.
_BODY_BYTES: Final = 16 * KIB


def agency_routes(units: Units, *, silence: float) -> list[web.RouteDef]:
    """The routes of this module. A peer may say nothing for `silence` seconds in the middle of a request."""

    async def declare(request: web.Request) -> web.Response:
        peer = peer_of(request)
        code = AgencyCode.parse(request.match_info["code"])
        body = await read_within(pieces_of(request, silence=silence), _BODY_BYTES, _too_large)
        return _answered(await units.declare(peer.connection, code, decode(UnitForm, body)))

    async def retire(request: web.Request) -> web.Response:
        peer = peer_of(request)
        return _answered(await units.retire(peer.connection, AgencyCode.parse(request.match_info["code"])))

    return [web.put(paths.AGENCIES + "/{code}", declare), web.delete(paths.AGENCIES + "/{code}", retire)]


def _answered(answer: UnitAnswer) -> web.Response:
    status = 200 if answer.state is UnitState.DONE else 202
    return web.Response(body=answer.encode(), status=status, content_type=paths.JSON_TYPE)


def _too_large() -> LimitExceeded:
    return LimitExceeded("too-large", f"A unit has {_BODY_BYTES} bytes at most.", mend="Shorten the name.")
