"""The hub's side: the real exchange over HTTP on loopback, with a network between that loses what it is told to.

TLS is left out, and with it the certificate that says who asks: a header does, in its place.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry
from yarl import URL

from hub.app import _exchange
from hub.foundation import Foundation, open_foundation
from hub.http.directory import directory_routes
from hub.http.exchange import exchange_routes
from hub.http.peer import FOUND, Peer
from hub.http.problems import note_start, problems
from hub.settings import HubFolder
from hub.usecases.exchange import Exchange
from hub.usecases.meters import Meters
from runtime.clock import Clock
from tests.clocks import certain

CONNECTION = "Test-Connection"


class Fault(StrEnum):
    """What happens to every request of a connection."""

    NONE = "none"
    LOSE_REQUESTS = "lose-requests"
    DROP_ANSWERS = "drop-answers"


@dataclass(slots=True)
class Network:
    """Brings requests to the hub, as well as it is let."""

    faults: dict[str, Fault] = field(default_factory=dict)

    @property
    def carry(self) -> Middleware:
        @web.middleware
        async def carry(request: web.Request, handler: Handler) -> web.StreamResponse:
            connection = request.headers[CONNECTION]
            fault = self.faults.get(connection, Fault.NONE)
            if fault is Fault.LOSE_REQUESTS:
                _cut(request)
            request[FOUND] = Peer(connection)
            answer = await handler(request)
            if fault is Fault.DROP_ANSWERS:
                _cut(request)
            return answer

        return carry


def _cut(request: web.Request) -> None:
    """Break the connection: whatever is answered after this, nobody hears."""
    if request.transport is not None:
        request.transport.abort()


@dataclass(frozen=True, slots=True)
class RunningHub:
    """A hub that answers at `url`; its sweeps run when they are told to."""

    foundation: Foundation
    exchange: Exchange
    url: URL

    async def sweep(self) -> None:
        """Write the deliveries that are left to write, and end those that are overdue."""
        while await self.exchange.fanout.step():
            pass
        await self.exchange.expiry.run()


@contextlib.asynccontextmanager
async def running_hub(folder: Path, network: Network, clock: Clock) -> AsyncIterator[RunningHub]:
    """The hub in `folder`, until left."""
    async with contextlib.AsyncExitStack() as stack:
        foundation = await stack.enter_async_context(open_foundation(HubFolder(folder), clock=clock))
        stop = asyncio.Event()
        exchange = await _exchange(foundation, Meters(CollectorRegistry()), stop, certain(clock))
        application = web.Application(middlewares=[network.carry, problems])
        application.on_response_prepare.append(note_start)
        application.add_routes([*exchange_routes(exchange), *directory_routes(foundation.database)])
        runner = web.AppRunner(application, auto_decompress=False, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.callback(stop.set)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield RunningHub(foundation, exchange, URL.build(scheme="http", host="127.0.0.1", port=site.port))
