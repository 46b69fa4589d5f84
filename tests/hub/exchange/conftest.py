"""A real exchange in a folder of the test's own: real database, files, seals, HTTP on loopback.

TLS is left out, and with it the certificate that says who asks: a header does, in its place.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeAlias

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection
from yarl import URL

from certs.authority import Authority
from certs.keys import fingerprint, new_p256_key
from certs.sealing import SealingKey
from hub.http.exchange import exchange_routes
from hub.http.peer import FOUND, Peer
from hub.http.problems import note_start, problems
from hub.settings_alerts import AlertSettings
from hub.settings_exchange import ExchangeSettings
from hub.store import agencies, connections, directory
from hub.store.schema import MIGRATIONS
from hub.usecases.exchange import Exchange
from hub.usecases.meters import Meters
from runtime.blob_folder import BlobFolder
from runtime.blobs import BlobStore
from runtime.database import Database, DatabasePlace, open_database
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, EntryStatus
from tests.clocks import certain
from tests.hub.exchange.nodes import NOW, Clock, Node
from tests.services.columns import DatabaseColumn
from transport.client import HubClient

HUB = "hub.example.test"

_CONNECTION = "Test-Connection"


class RequestsUnderWay:
    """Believes the header that says who asks, and knows when no request is under way."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    @property
    def identify(self) -> Middleware:
        @web.middleware
        async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
            request[FOUND] = Peer(request.headers[_CONNECTION])
            self._count += 1
            self._none.clear()
            try:
                return await handler(request)
            finally:
                self._count -= 1
                if not self._count:
                    self._none.set()

        return identify

    async def ended(self) -> None:
        await self._none.wait()


@dataclass(slots=True)
class World:
    """A running exchange, and the office that admits agencies to it."""

    folder: Path
    database: Database
    files: BlobStore
    exchange: Exchange
    authority: Authority
    clock: Clock
    url: URL
    stack: contextlib.AsyncExitStack
    requests: RequestsUnderWay
    nodes: dict[str, Node] = field(default_factory=dict)

    async def join(self, connection: str, *codes: str, older: Mapping[str, str] | None = None) -> Node:
        """Admit agencies that one new connection serves; `older` gives older codes of some."""
        key = new_p256_key()
        chain = self.authority.issue_seal(key.public_key(), connection, [], self.clock())
        sealing = SealingKey(key, chain)
        aliases = older or {}
        await self.database.write(partial(self._admit, connection, codes, aliases, sealing))
        return await self.node(connection, codes, sealing)

    async def node(self, connection: str, codes: tuple[str, ...], key: SealingKey) -> Node:
        session = await self.stack.enter_async_context(
            aiohttp.ClientSession(headers={_CONNECTION: connection}, auto_decompress=False)
        )
        node = Node(connection, codes, key, HubClient(session, self.url), session, self.clock)
        self.nodes[connection] = node
        return node

    def _admit(
        self,
        connection: str,
        codes: tuple[str, ...],
        older: Mapping[str, str],
        key: SealingKey,
        transaction: Connection,
    ) -> None:
        now = self.clock()
        connections.add(transaction, connection, connection, at=now)
        connections.add_seal(
            transaction, connection, key.fingerprint, key.certificate.public_bytes(Encoding.DER), at=now
        )
        for code in codes:
            entry = AgencyEntry(
                code=AgencyCode(code),
                name=code,
                older_codes=(AgencyCode(older[code]),) if code in older else (),
                connection=connection,
            )
            agencies.add(transaction, entry, at=now)
        self._publish(transaction)

    async def set_status(self, code: str, standing: EntryStatus) -> None:
        def work(transaction: Connection) -> None:
            agencies.set_status(transaction, AgencyCode(code), standing)
            self._publish(transaction)

        await self.database.write(work)

    def trust(self, transaction: Connection) -> None:
        """Believe the authority for every code."""
        root = self.authority.root
        directory.put_anchor(transaction, fingerprint(root), root.public_bytes(Encoding.DER), ("",), at=self.clock())
        self._publish(transaction)

    def _publish(self, transaction: Connection) -> None:
        """Count a version of the directory; what stands in it is of no interest here."""
        directory.append(
            transaction,
            directory.directory_version(transaction) + 1,
            digest="0" * 64,
            document=b"{}",
            issued_at=self.clock(),
            expires_at=self.clock() + timedelta(days=30),
        )

    async def count(self, table: str) -> int:
        """How many rows a table has."""
        return await self.database.read(
            lambda transaction: transaction.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
        )

    async def is_empty(self) -> bool:
        """True if nothing at all is stored of any submission, in the database or among the files."""
        tables = ("messages", "blobs", "deliveries", "mailbox_entries", "receipts", "submissions", "uploads")
        counts = [await self.count(table) for table in tables]
        files = [path for path in (self.folder / "attachments").rglob("*") if path.is_file()]
        return not any(counts) and not files


Running: TypeAlias = Callable[..., contextlib.AbstractAsyncContextManager[World]]


@dataclass(frozen=True, slots=True)
class Ground:
    """What every test stands on and none changes: an authority and the hub's key; and its own, empty database."""

    authority: Authority
    hub_key: SealingKey
    database: DatabasePlace


@pytest.fixture(scope="session")
def issued(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, SealingKey]:
    folder = tmp_path_factory.mktemp("ground")
    made_at = NOW - timedelta(days=1)
    authority = Authority.create(folder / "authority", "Test", now=made_at)
    key = new_p256_key()
    return authority, SealingKey(key, authority.issue_receipts(key.public_key(), HUB, made_at))


@pytest.fixture
def ground(issued: tuple[Authority, SealingKey], tmp_path: Path, column: DatabaseColumn) -> Ground:
    return Ground(*issued, column.place(tmp_path / "hub.db", MIGRATIONS))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings() -> ExchangeSettings:
    """The settings as they come, but a waiting poll depends on being woken; a module overrides this to test one."""
    return ExchangeSettings.model_validate({"submissions": {"spare_bytes": 0}, "mailbox": {"recheck_seconds": 60}})


@pytest.fixture
def alerting() -> AlertSettings:
    """Alerts as they come: no webhook."""
    return AlertSettings()


@pytest.fixture
def meters() -> Meters:
    return Meters(CollectorRegistry())


@dataclass(frozen=True, slots=True)
class Watching:
    """What the exchange counts with, and what of it becomes an alert."""

    meters: Meters
    alerting: AlertSettings


@pytest.fixture
def watching(meters: Meters, alerting: AlertSettings) -> Watching:
    return Watching(meters, alerting)


@pytest.fixture
def files(tmp_path: Path) -> BlobStore:
    """The store of attachments; a module of tests may put another form in its place."""
    return BlobFolder(tmp_path / "attachments")


@pytest.fixture
def running(
    tmp_path: Path, ground: Ground, clock: Clock, *, settings: ExchangeSettings, watching: Watching, files: BlobStore
) -> Running:
    """Start the exchange in the test's folder: again after it ended, it finds what it left there."""

    @contextlib.asynccontextmanager
    async def run(*, outbox: bool = False) -> AsyncIterator[World]:
        async with contextlib.AsyncExitStack() as stack:
            database = await stack.enter_async_context(open_database(ground.database))
            stop, requests = asyncio.Event(), RequestsUnderWay()
            exchange = Exchange.of(
                database,
                files,
                name=HUB,
                epoch="epoch-1",
                receipts_key=ground.hub_key,
                settings=settings,
                alerting=watching.alerting,
                meters=watching.meters,
                clock=clock,
                certain=certain(clock),
                chance=Random(7),
                stop=stop,
                outbox=outbox,
            )
            application = web.Application(middlewares=[requests.identify, problems])
            application.on_response_prepare.append(note_start)
            application.add_routes(exchange_routes(exchange))
            runner = web.AppRunner(application, auto_decompress=False)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            stack.callback(stop.set)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            url = URL.build(scheme="http", host="127.0.0.1", port=site.port)
            world = World(tmp_path, database, files, exchange, ground.authority, clock, url, stack, requests)
            if not await world.count("trust_anchors"):
                await database.write(world.trust)
            yield world

    return run


@pytest.fixture
async def world(running: Running) -> AsyncIterator[World]:
    async with running() as world:
        yield world


@pytest.fixture
async def g22(world: World) -> Node:
    """The node of the Government Office, G22."""
    return await world.join("vpcp", "G22")


@pytest.fixture
async def h23(world: World) -> Node:
    """The node of Hải Dương, which serves H23 and two units below it."""
    return await world.join("haiduong", "H23", "H23.12", "H23.13", older={"H23": "000.00.00.H23"})


@pytest.fixture
async def h31(world: World) -> Node:
    """The node of Hưng Yên, H31."""
    return await world.join("hungyen", "H31")
