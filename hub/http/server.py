"""The HTTP server: the applications, in which order a request passes what, and the listeners."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry, Counter, Histogram

from hub.http.peer import identification
from hub.http.problems import note_start, problems
from hub.settings import HttpSettings, ProxySettings
from hub.usecases.peers import PeerRegister
from runtime.addresses import Address
from runtime.agreed_clock import AgreedClock
from runtime.metrics import LATENCY_BUCKETS
from schemas.errors import Rejected, Unavailable
from schemas.limits import MIB
from transport import paths

#: The longest body that is read into memory as a whole. Calls that take more read it piece by piece.
BODY_LIMIT: Final = 1 * MIB

#: Connections that the system takes before the hub accepts them.
BACKLOG: Final = 1024

#: What is answered whatever the process's clock says.
_HEALTH: Final = frozenset({paths.LIVENESS, paths.READINESS, paths.METRICS})

#: Set once requests under way have ended, and the parts that they need go.
_OVER: Final = web.AppKey("over", asyncio.Event)


def public_application(
    routes: Sequence[web.RouteDef],
    register: PeerRegister,
    proxy: ProxySettings,
    registry: CollectorRegistry,
    clock: AgreedClock,
) -> web.Application:
    """What nodes talk to. A request is measured, its errors become problems, and then it is asked whose it is.

    While `clock` is wrong by so much that it serves nobody, what nodes ask is answered 503: another process can.
    """
    application = web.Application(
        middlewares=[
            measuring(registry),
            problems,
            _refuse_late,
            _refuse_by_wrong_clock(clock),
            _refuse_encoded_bodies,
            identification(register, proxy.addresses),
        ],
        client_max_size=BODY_LIMIT,
    )
    application[_OVER] = asyncio.Event()
    application.on_cleanup.append(_note_over)
    application.on_response_prepare.extend((note_start, _hide_software))
    application.add_routes(routes)
    return application


def operations_application(routes: Sequence[web.RouteDef]) -> web.Application:
    """What the operator's monitoring talks to."""
    application = web.Application(middlewares=[problems], client_max_size=BODY_LIMIT)
    application.on_response_prepare.append(note_start)
    application.add_routes(routes)
    return application


def measuring(registry: CollectorRegistry) -> Middleware:
    """Count requests and their seconds by route; the path itself would make a series of every message id."""
    requests = Counter("congvan_hub_requests", "Requests answered.", ("method", "route", "status"), registry=registry)
    seconds = Histogram(
        "congvan_hub_request_seconds",
        "Seconds from a request's head to its answer's end.",
        ("method", "route"),
        buckets=LATENCY_BUCKETS,
        registry=registry,
    )

    @web.middleware
    async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        method = request.method if resource else "other"
        route = resource.canonical if resource else "other"
        began, status = time.perf_counter(), "broken off"
        try:
            response = await handler(request)
            status = str(response.status)
            return response
        finally:
            requests.labels(method, route, status).inc()
            seconds.labels(method, route).observe(time.perf_counter() - began)

    return measure


async def _hide_software(_request: web.Request, response: web.StreamResponse) -> None:
    # aiohttp would name itself and Python with their versions, to whoever looks for known holes.
    response.headers["Server"] = "Congvan"


async def _note_over(application: web.Application) -> None:
    application[_OVER].set()


@web.middleware
async def _refuse_late(request: web.Request, handler: Handler) -> web.StreamResponse:
    # A connection whose TLS was still coming about when the hub was told to stop is none of those that are waited for.
    if request.app[_OVER].is_set():
        raise Unavailable("hub-stopping", "The hub is being stopped.", mend="The same is tried again by itself.")
    return await handler(request)


def _refuse_by_wrong_clock(clock: AgreedClock) -> Middleware:
    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in _HEALTH:
            # By this clock a document would be dated, expire and be leased wrongly, whoever leads.
            clock.require_serving()
        return await handler(request)

    return refuse


@web.middleware
async def _refuse_encoded_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    # Nothing inflates on the way in: a limit on bytes is a limit on bytes.
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Rejected("media-type", "Bodies are taken as they are, without Content-Encoding.", mend="Send it plain.")
    return await handler(request)


def address_in_use(address: Address, error: OSError) -> Unavailable:
    return Unavailable(
        "address-in-use",
        f"{address} cannot be listened on: {error.strerror or error}.",
        mend="Stop what listens there, or set another [hub] listen.",
    )


@contextlib.asynccontextmanager
async def listening(
    application: web.Application, place: Address | socket.socket, http: HttpSettings, *, tls: ssl.SSLContext | None
) -> AsyncIterator[Address]:
    """Serve `application` at `place`, an address or a bound socket; gives the address that is listened on.

    On leaving, nothing new is taken, and what is under way has the grace time to end. Raises `address-in-use`.
    """
    runner = web.AppRunner(
        application,
        access_log=None,
        shutdown_timeout=http.grace_seconds,
        keepalive_timeout=http.idle_seconds,
        max_line_size=http.header_bytes,
        max_field_size=http.header_bytes,
        auto_decompress=False,
    )
    await runner.setup()
    try:
        if isinstance(place, socket.socket):
            await web.SockSite(runner, place, ssl_context=tls, backlog=BACKLOG).start()
            host, port, *_ = place.getsockname()
            yield Address(host, port)
        else:
            site = web.TCPSite(runner, place.host, place.port, ssl_context=tls, backlog=BACKLOG)
            try:
                await site.start()
            except OSError as error:
                raise address_in_use(place, error) from error
            yield Address(place.host, site.port)
    finally:
        await runner.cleanup()
