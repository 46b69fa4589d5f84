"""Push endpoints of nodes: the node's own listener over real TLS, with a way in that keeps what comes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from certs.authority import Authority
from certs.certificate_profiles import Chain
from certs.keys import PublicKey, fingerprint, new_p256_key, write_certificates, write_key
from certs.tls import push_client_context, push_server_context
from hub.store import connections, pushing
from hub.store.pushing import Breaker, Endpoint
from hub.usecases.push import Push
from node.http.listening import listening
from node.http.push import PushIntake, push_application
from node.settings import PushTable
from node.usecases.intake import Intake
from node.usecases.push_contact import PushContact
from runtime.addresses import Address
from schemas.errors import Unavailable
from tests.hub.exchange.conftest import HUB, World
from transport.push_client import PushClient, open_push_client
from transport.wire import MailboxAnswer


@dataclass(slots=True)
class Keeping(Intake):
    """Keeps the batches that come; as it is told, one is not let go of, or there is no room."""

    taken: list[MailboxAnswer] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    held: asyncio.Event | None = None
    is_full: bool = False

    def require_space(self) -> None:
        if self.is_full:
            raise Unavailable("storage-full", "No room.")

    async def take(self, answer: MailboxAnswer, downloads: asyncio.TaskGroup) -> None:
        self.taken.append(answer)
        self.came.set()
        if self.held is not None:
            await self.held.wait()

    async def has(self, number: int) -> None:
        """Wait until so many entries have come."""
        async with asyncio.timeout(30):
            while len(self.entries) < number:
                await self.came.wait()
                self.came.clear()

    @property
    def entries(self) -> list[int]:
        return [entry.entry for answer in self.taken for entry in answer.entries]


class Identity:
    """A TLS key and a chain for it, in files."""

    def __init__(self, folder: Path, name: str, issue: Callable[[PublicKey], Chain]) -> None:
        key = new_p256_key()
        self.chain = issue(key.public_key())
        self.key_path, self.chain_path = folder / f"{name}.key", folder / f"{name}.pem"
        write_key(self.key_path, key, None)
        write_certificates(self.chain_path, self.chain)


class Keys:
    """The keys of a hub and of nodes. TLS asks the machine's clock: their certificates are made now."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = datetime.now(UTC)
        self.authority = Authority.create(folder / "push-authority", "Push", now=self.now)
        self.hub = self.hub_named(HUB)
        self._nodes: dict[str, Identity] = {}

    def hub_named(self, name: str) -> Identity:
        """What a hub of that name shows when it pushes."""
        return Identity(self.folder, f"hub-{name}", lambda key: self.authority.issue_push(key, name, self.now))

    def node(self, connection: str) -> Identity:
        """What the node of a connection shows."""
        if connection not in self._nodes:
            self._nodes[connection] = Identity(
                self.folder, f"node-{connection}", lambda key: self.authority.issue_client(key, connection, self.now)
            )
        return self._nodes[connection]

    def fingerprint(self, connection: str) -> str:
        return fingerprint(self.node(connection).chain[0])

    @contextlib.asynccontextmanager
    async def listening(
        self, connection: str, way_in: Intake, contact: PushContact, *, port: int = 0, **settings: float
    ) -> AsyncIterator[int]:
        """The push listener of the node of `connection`; gives its port."""
        node = self.node(connection)
        tls = push_server_context(node.chain_path, node.key_path, None, [self.authority.root])
        async with asyncio.TaskGroup() as downloads:
            table = PushTable.model_validate(settings)
            application = push_application(PushIntake(HUB, way_in, contact, downloads, table))
            async with listening(application, Address("127.0.0.1", port), table="node.push", tls=tls) as bound:
                yield bound.port

    @contextlib.asynccontextmanager
    async def client(self, endpoint: Endpoint, *, patience: float = 10) -> AsyncIterator[PushClient]:
        tls = push_client_context(self.hub.chain_path, self.hub.key_path, None)
        async with open_push_client(endpoint.url, tls, endpoint.fingerprint, patience=patience) as client:
            yield client


@dataclass(slots=True)
class PushedNode:
    """A connection that is pushed to: its endpoint as the hub knows it, and what came there."""

    world: World
    keys: Keys
    endpoint: Endpoint
    way_in: Keeping
    contact: PushContact

    @classmethod
    async def admit(cls, world: World, keys: Keys, connection: str, port: int) -> PushedNode:
        """Let the node's TLS certificate in, and push to it at `port`."""
        url, known = f"https://127.0.0.1:{port}", keys.fingerprint(connection)
        at = world.clock()
        admitted = partial(
            connections.replace_client,
            connection=connection,
            fingerprint=known,
            not_after=at + timedelta(days=700),
            at=at,
        )
        await world.database.write(admitted)
        await world.database.write(partial(pushing.put, connection=connection, url=url, at=at))
        trust, interval = timedelta(seconds=180), timedelta(seconds=300)
        contact = PushContact(world.clock, trust=trust, interval=interval)
        return cls(world, keys, Endpoint(connection, url, known), Keeping(), contact)

    @contextlib.asynccontextmanager
    async def up(self, **settings: float) -> AsyncIterator[None]:
        """While inside, its listener listens."""
        port = int(self.endpoint.url.rpartition(":")[2])
        async with self.keys.listening(self.endpoint.connection, self.way_in, self.contact, port=port, **settings):
            yield

    @contextlib.asynccontextmanager
    async def pushing(self, *, patience: float = 10) -> AsyncIterator[Push]:
        async with self.keys.client(self.endpoint, patience=patience) as client:
            yield Push(self.world.exchange.push, self.endpoint, client)

    async def breaker(self) -> Breaker:
        row = await self.world.database.read(partial(pushing.find, connection=self.endpoint.connection))
        assert row is not None
        return row.breaker
