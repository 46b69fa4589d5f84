"""A real hub in a folder of the test's own, and nodes that enrol at it over TLS on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pytest

from certs.enrolment_token import EnrolmentToken
from certs.keys import (
    PrivateKey,
    certificate_request,
    new_p256_key,
    parse_certificates,
    write_certificates,
    write_key,
)
from certs.tls import client_context
from hub.app import serve
from hub.foundation import Foundation, open_foundation
from hub.initialisation import NewHub, initialise
from hub.settings import HubFolder, HubSettings
from runtime.addresses import Address
from transport.client import HubClient, fetch_authority, open_hub_client
from transport.wire import EnrolmentAnswer, EnrolmentRequest

NAME = "hub.example.test"


@dataclass(slots=True)
class Clock:
    """A clock that stands until a test sets it."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


@dataclass(frozen=True, slots=True)
class Node:
    """Keys of a node, its requests, and how it speaks TLS."""

    folder: Path
    tls_key: PrivateKey
    seal_key: PrivateKey

    @classmethod
    def make(cls, folder: Path) -> Node:
        folder.mkdir(exist_ok=True)
        node = cls(folder, new_p256_key(), new_p256_key())
        write_key(folder / "tls.key", node.tls_key, None)
        return node

    @property
    def request(self) -> EnrolmentRequest:
        return EnrolmentRequest(
            tls_request=certificate_request(self.tls_key, "node", []).decode(),
            seal_request=certificate_request(self.seal_key, "node", []).decode(),
        )

    @contextlib.asynccontextmanager
    async def speaking(self, url: str, answer: EnrolmentAnswer) -> AsyncIterator[HubClient]:
        """A client that shows the certificate of `answer`."""
        chain = self.folder / f"{answer.connection}.pem"
        write_certificates(chain, parse_certificates(answer.tls_certificates.encode()))
        roots = parse_certificates(answer.hub.authority.encode())
        async with open_hub_client(url, client_context(roots, chain, self.folder / "tls.key")) as client:
            yield client


async def enrol(url: str, token: str, request: EnrolmentRequest) -> EnrolmentAnswer:
    """Enrol as a node does: first the authority, compared with the token, then the secret."""
    parsed = EnrolmentToken.parse(token)
    root = parsed.require_authority(parse_certificates(await fetch_authority(url)))
    async with open_hub_client(url, client_context([root])) as client:
        return await client.enrol(parsed.secret, request)


@dataclass(frozen=True, slots=True)
class RunningHub:
    """A hub that serves; `office` is the operator's desk at the same folder."""

    url: str
    office: Foundation
    clock: Clock
    stop: asyncio.Event


Run: TypeAlias = Callable[[], AbstractAsyncContextManager[RunningHub]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def folder(tmp_path: Path, clock: Clock) -> HubFolder:
    """The folder of a new hub that listens on loopback, on a port that the system chooses."""
    folder = HubFolder(tmp_path / "hub")
    await initialise(folder, NewHub(NAME, "127.0.0.1:0", ("127.0.0.1",)), clock=clock)
    return folder


@pytest.fixture
async def office(folder: HubFolder, clock: Clock) -> AsyncIterator[Foundation]:
    """The operator's desk: registers of agencies and connections, without a daemon."""
    async with open_foundation(folder, clock=clock) as foundation:
        yield foundation


@contextlib.asynccontextmanager
async def running(folder: HubFolder, clock: Clock) -> AsyncIterator[RunningHub]:
    """The hub in `folder`, serving inside this process until the block ends."""
    stop = asyncio.Event()
    address: asyncio.Future[Address] = asyncio.get_running_loop().create_future()

    def announce(_settings: HubSettings, bound: Address) -> None:
        address.set_result(bound)

    daemon = asyncio.create_task(serve(folder, stop, announce=announce, clock=clock))
    daemon.add_done_callback(lambda _: address.cancel())
    try:
        bound = await address
    except asyncio.CancelledError:
        await daemon
        raise
    try:
        async with open_foundation(folder, clock=clock) as office:
            yield RunningHub(f"https://127.0.0.1:{bound.port}", office, clock, stop)
    finally:
        stop.set()
        await daemon


@pytest.fixture
async def hub(folder: HubFolder, clock: Clock) -> AsyncIterator[RunningHub]:
    async with running(folder, clock) as hub:
        yield hub
