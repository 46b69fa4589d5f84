"""Pushes to every node that asked for it: a task for each endpoint, begun and ended as the operator sets them.

With a broker each push is one process's, the one that its hint came to; the tasks of the others see to it that there is
a hint when mail comes. While the broker is away each process pushes by itself: leases keep what they push apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from hub.store import pushing
from hub.store.pushing import Endpoint
from hub.usecases.push import Push, PushParts
from hub.usecases.waking import PUSH, mailbox_of
from hub.usecases.workshop import Rest
from runtime.lifecycle import Service
from runtime.wakeups import wait_for_event
from schemas.errors import Unavailable
from transport.push_client import open_push_client

log = structlog.get_logger()

#: Seconds between two looks at which endpoints there are, when no command wakes it.
RECHECK: Final = 5.0
#: Seconds to wait after a fault of ours, and when the database cannot be used.
PAUSE: Final = 5.0
#: Batches that one hint has pushed, before others have their turn.
_STEPS: Final = 20


@dataclass(frozen=True, slots=True)
class _Running:
    endpoint: Endpoint
    end: asyncio.Event


class Pushers:
    """What this process pushes with, by connection, for hints that come to it."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Push, asyncio.Lock]] = {}

    @contextlib.contextmanager
    def opened(self, connection: str, push: Push) -> Iterator[asyncio.Lock]:
        """Offer `push` to hints; whoever steps holds the lock that this gives."""
        turn = asyncio.Lock()
        self._open[connection] = push, turn
        try:
            yield turn
        finally:
            del self._open[connection]

    async def push(self, connection: str) -> Rest:
        """Push what waits for `connection`; gives when there is anything to do again."""
        found = self._open.get(connection)
        if found is None:
            # The operator has just set it, or just taken it away.
            return Rest(RECHECK, held=True)
        push, turn = found
        async with turn:
            for _ in range(_STEPS):
                rest = await push.step()
                if rest > 0:
                    return Rest(rest, push.is_held)
        return Rest(0.0, held=False)


@dataclass(frozen=True, slots=True)
class PushHints:
    """How pushes are shared between processes: while hints flow, `hurry` makes one for a connection that has mail."""

    pushers: Pushers
    are_flowing: Callable[[], bool]
    hurry: Callable[[str], Awaitable[None]]


def push_service(
    parts: PushParts, tls: ssl.SSLContext, *, hints: PushHints | None = None, recheck: float = RECHECK
) -> Service:
    """The service that pushes; it shows the certificate of `tls`. Without `hints` there is no other process."""

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
                            tasks.create_task(_serve(parts, endpoint, tls, running[connection].end, hints))
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
    parts.wakeups.wake_here(mailbox_of(one.endpoint.connection))


async def _serve(
    parts: PushParts, endpoint: Endpoint, tls: ssl.SSLContext, end: asyncio.Event, hints: PushHints | None
) -> None:
    connection = endpoint.connection
    client = open_push_client(endpoint.url, tls, endpoint.fingerprint, patience=parts.settings.timeout_seconds)
    async with client as pushing_client:
        push = Push(parts, endpoint, pushing_client)
        with parts.wakeups.listen(mailbox_of(connection)) as event, _offered(hints, connection, push) as turn:
            while not end.is_set():
                if hints is not None and hints.are_flowing():
                    if await wait_for_event(event, RECHECK):
                        await hints.hurry(connection)
                    continue
                async with turn:
                    rest = await _step(push, endpoint)
                if rest > 0:
                    # Hints may flow again long before an endpoint's rest is over.
                    await wait_for_event(event, rest if hints is None else min(rest, RECHECK))


def _offered(hints: PushHints | None, connection: str, push: Push) -> contextlib.AbstractContextManager[asyncio.Lock]:
    return contextlib.nullcontext(asyncio.Lock()) if hints is None else hints.pushers.opened(connection, push)


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
