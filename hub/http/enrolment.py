"""`POST /v1/enrolments` and `GET /v1/authority`: the calls of a node that has no certificate yet."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

import structlog
from aiohttp import web

from hub.http.peer import remote_of
from hub.usecases.enrolment import Enrolment
from runtime.clock import Clock
from schemas.errors import Rejected, Unavailable
from transport import paths
from transport.wire import EnrolmentRequest, decode

log = structlog.get_logger()

#: Addresses whose failures are remembered; the longest quiet one is forgotten first.
_REMEMBERED: Final = 4096
_MINUTE: Final = timedelta(minutes=1)

#: Seconds that the body, two certificate requests, may take in all: anybody may call, so nobody may linger.
_BODY_SECONDS: Final = 20.0

#: What a wrong token is answered with. Other refusals come to holders of a right one.
_GUESSES: Final = frozenset({"token-unknown", "unauthenticated"})


class FailureLimit:
    """How often an address may fail in a minute. It guards log and database; secrets of 256 bits need no guard."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._windows: OrderedDict[str, tuple[datetime, int]] = OrderedDict()

    def require(self, remote: str | None) -> None:
        """Raises `too-many-requests`, with the seconds to wait, for an address that has used up its minute."""
        began, failures = self._window(_network(remote))
        if failures >= self._per_minute:
            error = Unavailable(
                "too-many-requests", "Too many wrong tokens came from this address.", mend="Wait a minute."
            )
            error.retry_after = (began + _MINUTE - self._clock()).total_seconds()
            raise error

    def note(self, remote: str | None) -> None:
        network = _network(remote)
        began, failures = self._window(network)
        self._windows[network] = (began, failures + 1)
        self._windows.move_to_end(network)
        if len(self._windows) > _REMEMBERED:
            self._windows.popitem(last=False)

    def _window(self, network: str) -> tuple[datetime, int]:
        now = self._clock()
        began, failures = self._windows.get(network, (now, 0))
        return (began, failures) if now < began + _MINUTE else (now, 0)


def _network(remote: str | None) -> str:
    """An IPv4 address, or the /64 that one holder of IPv6 has for itself."""
    if remote is None:
        return ""
    address = ip_address(remote.partition("%")[0])
    return str(address if isinstance(address, IPv4Address) else ip_network((address, 64), strict=False))


def enrolment_routes(
    enrolment: Enrolment, limit: FailureLimit, proxies: Sequence[IPv4Network | IPv6Network]
) -> list[web.RouteDef]:
    """The routes of this module. Behind one of `proxies` failures count for the address that the proxy names."""
    authority = enrolment.authority.chain_pem

    async def show_authority(_request: web.Request) -> web.Response:
        return web.Response(body=authority, content_type="application/pem-certificate-chain")

    async def enrol(request: web.Request) -> web.Response:
        remote = remote_of(request, proxies)
        limit.require(remote)
        try:
            secret = _secret_of(request)
            answer = await enrolment.enrol(secret, decode(EnrolmentRequest, await _body_of(request)))
        except Rejected as error:
            if error.code in _GUESSES:
                limit.note(remote)
            log.warning("enrolment.refused", code=error.code, remote=remote)
            raise
        return web.Response(body=answer, content_type=paths.JSON_TYPE)

    return [web.get(paths.AUTHORITY, show_authority), web.post(paths.ENROLMENTS, enrol)]


async def _body_of(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return await request.read()
    except TimeoutError as error:
        raise Unavailable("request-timeout", "The request did not come to its end in time.") from error


def _secret_of(request: web.Request) -> str:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Rejected(
            "unauthenticated",
            "An enrolment needs the secret of a one-time token.",
            mend="Send it as Authorization: Bearer.",
        )
    return secret.strip()
