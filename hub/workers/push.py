"""Pushes to every node that asked for it: a task for each endpoint, begun and ended as the operator sets them."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from hub.store import pushing
from hub.store.pushing import Endpoint
from hub.usecases.push import Push, PushParts
from hub.usecases.waking import PUSH, mailbox_of
from runtime.lifecycle import Service
from runtime.wakeups import wait_for_event
from schemas.errors import Unavailable
from transport.push_client import open_push_client

log = structlog.get_logger()

#: Seconds between two looks at which endpoints there are, when no command wakes it.
RECHECK: Final = 5.0
#: Seconds to wait after a fault of ours, and when the database cannot be used.
PAUSE: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Running:
    endpoint: Endpoint
    end: asyncio.Event


def push_service(parts: PushParts, tls: ssl.SSLContext, *, recheck: float = RECHECK) -> Service:
    """The service that pushes; it shows the certificate of `tls`."""

    async def run(stop: asyncio.Event) -> None:
        running: dict[str, _Running] = {}
        async with asyncio.TaskGroup() as tasks:
            with parts.wakeups.listen(PUSH) as event:
                while not stop.is_set():
                    wanted = await _endpoints(parts)
                    for connection, one in list(running.items()):
                        if wanted is not None and wanted.get(connection) != one.endpoint:
                            _end(parts, running.pop(connection))
                    for connection, endpoint in (wanted or {}).items():
                        if connection not in running:
                            running[connection] = _Running(endpoint, asyncio.Event())
                            tasks.create_task(_serve(parts, endpoint, tls, running[connection].end))
                    await wait_for_event(event, recheck)
            for one in running.values():
                _end(parts, one)

    return run


async def _endpoints(parts: PushParts) -> dict[str, Endpoint] | None:
    """The endpoints by connection; None if that cannot be known now."""
    try:
        found = await parts.database.read(partial(pushing.endpoints, at=parts.clock()))
    except Unavailable as error:
        log.warning("push.paused", error=str(error))
        return None
    return {endpoint.connection: endpoint for endpoint in found}


def _end(parts: PushParts, one: _Running) -> None:
    one.end.set()
    parts.wakeups.wake(mailbox_of(one.endpoint.connection))


async def _serve(parts: PushParts, endpoint: Endpoint, tls: ssl.SSLContext, end: asyncio.Event) -> None:
    client = open_push_client(endpoint.url, tls, endpoint.fingerprint, patience=parts.settings.timeout_seconds)
    async with client as pushing_client:
        push = Push(parts, endpoint, pushing_client)
        with parts.wakeups.listen(mailbox_of(endpoint.connection)) as event:
            while not end.is_set():
                rest = await _step(push, endpoint)
                if rest > 0:
                    await wait_for_event(event, rest)


async def _step(push: Push, endpoint: Endpoint) -> float:
    try:
        return await push.step()
    except Unavailable as error:
        # A full disk or a busy database passes; what was leased lapses and is offered again.
        log.warning("push.paused", connection=endpoint.connection, error=str(error))
    except Exception:
        # A fault of ours: whatever it is, fetching goes on, and the other endpoints do.
        log.exception("push.broken", connection=endpoint.connection)
    return PAUSE
