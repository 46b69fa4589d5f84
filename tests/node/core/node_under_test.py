"""A node in a folder of its own: opened, run, stopped or abandoned, and opened again, as a daemon is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import ClassVar

from adapters.sdk import Accepted, Delivery, DeliveryKey, Guarantee, Health, Outcome, OutgoingAttachment, Submission
from certs.tls import client_context
from node.settings_exchange import (
    BackoffSettings,
    ExchangeSettings,
    HandoverSettings,
    ReceiverSettings,
    ReportSettings,
    SenderSettings,
)
from node.store.migrate import MIGRATIONS
from node.usecases.adapter_calls import AdapterCalls, Connected
from node.usecases.amendments import Amendments
from node.usecases.attachments import Attachments
from node.usecases.awaiting import AwaitingDeliveries
from node.usecases.directory import DirectoryCopy
from node.usecases.downloads import Downloads
from node.usecases.event_log import EventLog
from node.usecases.facade import NodeFacade, NodeParts
from node.usecases.guarding import Guards, Post
from node.usecases.handover import Addressed
from node.usecases.handover_ending import Endings
from node.usecases.identity import NodeIdentity
from node.usecases.parked import ParkedHandovers
from node.usecases.push_contact import PushContact
from node.usecases.queries import Queries
from node.usecases.sent_documents import SentDocuments
from node.usecases.statuses import Responder
from node.usecases.submit import Submitter
from node.usecases.transfers import Transfers
from node.usecases.units import Units
from node.workers.services import ExchangeParts, exchange_services, intake_of
from runtime.blob_folder import BlobFolder
from runtime.database import Database, open_database
from runtime.lifecycle import run_services
from runtime.wakeups import Wakeups
from schemas.envelope import SecrecyLevel
from schemas.message import Document, StatusMessage
from tests.node.core.world import digest_of
from tests.services.columns import DatabaseColumn
from transport.client import HubClient, open_hub_client

QUICK = BackoffSettings(first=0.02, longest=0.5)

SETTINGS = ExchangeSettings(
    sender=SenderSettings(backoff=QUICK),
    receiver=ReceiverSettings(wait=5.0, reserve_bytes=0, backoff=QUICK, spread=0.1),
    handover=HandoverSettings(backoff=QUICK),
    reports=ReportSettings(backoff=QUICK, gather=0.0),
)

#: How long a test waits for what must come; far more than it takes, so that a slow machine fails nothing.
PATIENCE = 60.0


@dataclass(slots=True)
class Clock:
    """The real time, moved by as much as a test says."""

    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass(slots=True)
class RecordingAdapter:
    """Software that takes every message, unless `answer` says otherwise."""

    guarantee: ClassVar[Guarantee] = Guarantee.AT_LEAST_ONCE
    deliveries: list[Delivery] = field(default_factory=list)
    answer: Callable[[Delivery], Awaitable[Outcome]] | None = None

    async def deliver(self, delivery: Delivery) -> Outcome:
        self.deliveries.append(delivery)
        return Accepted() if self.answer is None else await self.answer(delivery)

    @property
    def keys(self) -> list[DeliveryKey]:
        return [delivery.key for delivery in self.deliveries]

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()

    async def health(self) -> Health:
        return Health(ok=True)

    async def close(self) -> None: ...


@dataclass(slots=True)
class Node:
    """An opened node. `adapter` stands for the agencies' software, `beside` for others at its desk, by name."""

    database: Database
    blobs: BlobFolder
    directory: DirectoryCopy
    submitter: Submitter
    queries: Queries
    responder: Responder
    wakeups: Wakeups
    hub: HubClient
    identity: NodeIdentity
    attachments: Attachments
    clock: Clock
    adapter: RecordingAdapter
    settings: ExchangeSettings
    guards: Guards
    has_adapter: bool = True
    beside: dict[str, RecordingAdapter] = field(default_factory=dict)

    @property
    def amendments(self) -> Amendments:
        return Amendments(self.database, self.submitter, self.directory, self.clock)

    @property
    def facade(self) -> NodeFacade:
        """The node as the adapter `test` sees it."""
        return self.facade_of("test")

    def route(self, _to: Addressed) -> Connected | None:
        beside = tuple(Connected(name, adapter) for name, adapter in self.beside.items())
        return Connected("test", self.adapter, beside) if self.has_adapter else None

    def facade_of(self, name: str, *, desk: str | None = None) -> NodeFacade:
        return NodeFacade(
            name,
            NodeParts(
                submitter=self.submitter,
                directory=self.directory,
                attachments=self.attachments,
                responder=self.responder,
                amendments=self.amendments,
                sent=SentDocuments(self.database),
                units=Units(lambda: contextlib.nullcontext(self.hub), self.directory),
                awaiting=AwaitingDeliveries(self.database, Endings(self.identity), self.wakeups, self.clock),
                events=EventLog(self.database, self.wakeups),
            ),
            desk=desk,
        )

    @property
    def parked(self) -> ParkedHandovers:
        return ParkedHandovers(self.database, self.wakeups, self.clock)

    def _transfers(self) -> Transfers:
        return Transfers(self.database, self.blobs, self.clock, reserve=self.settings.receiver.reserve_bytes)

    @contextlib.asynccontextmanager
    async def running(self, *names: str) -> AsyncIterator[None]:
        """The services of the exchange, or those named, run inside; on leaving they are stopped."""
        parts = ExchangeParts(
            database=self.database,
            blobs=self.blobs,
            attachments=self.attachments,
            downloads=Downloads(self.blobs, self.hub, self._transfers()),
            transfers=self._transfers(),
            directory=self.directory,
            identity=self.identity,
            hub=self.hub,
            guards=self.guards,
            route=self.route,
            calls=AdapterCalls(),
            wakeups=self.wakeups,
            settings=self.settings,
            clock=self.clock,
            chance=Random(7),
        )
        unpushed = PushContact(self.clock, trust=timedelta(seconds=60), interval=timedelta(seconds=60))
        intake = intake_of(parts)
        services = exchange_services(parts, intake, unpushed)
        chosen = {name: services[name] for name in names or services}
        if "receiver" not in chosen:
            intake.compared.set()
        stop = asyncio.Event()
        running = asyncio.create_task(run_services(chosen, stop, grace=2.0))
        try:
            yield
            stop.set()
            await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def submit(
        self,
        message: Document | StatusMessage,
        *files: Path,
        key: str = "1",
        content: str = "",
        about: Sequence[str] = (),
        secrecy: SecrecyLevel | None = None,
        expires_at: datetime | None = None,
    ) -> str:
        """Submit through the facade; gives the message id. `content` stands for what the caller was handed."""
        submission = Submission(
            key=key,
            fingerprint=digest_of(content.encode()),
            message=message,
            attachments=[attachment(path) for path in files],
            about=about,
            secrecy=secrecy,
            expires_at=expires_at,
        )
        return (await self.facade.submit(submission)).message_id


def attachment(path: Path) -> OutgoingAttachment:
    return OutgoingAttachment(name=path.name, content_type="application/pdf", description="", path=path)


@contextlib.asynccontextmanager
async def open_node(
    folder: Path,
    identity: NodeIdentity,
    hub: str,
    column: DatabaseColumn,
    *,
    adapter: RecordingAdapter | None = None,
    settings: ExchangeSettings = SETTINGS,
    clock: Clock | None = None,
    posts: Sequence[Post] = (),
) -> AsyncIterator[Node]:
    """Open the node in `folder`, made if it is not there, with its record in `column`."""
    moved = clock or Clock()
    async with (
        open_database(column.place(folder / "node.db", MIGRATIONS)) as database,
        open_hub_client(hub, client_context(identity.hub_authority)) as client,
    ):
        blobs = BlobFolder(folder / "blobs")
        attachments = Attachments(database, blobs, Transfers(database, blobs, moved, reserve=0))
        directory = DirectoryCopy(database, identity, moved)
        await directory.load()
        wakeups = Wakeups()
        guards = Guards(posts, attachments, moved)
        submitter = Submitter(
            database,
            attachments,
            directory,
            identity,
            guards,
            limits=settings.limits.limits(),
            clock=moved,
            wakeups=wakeups,
        )
        yield Node(
            database=database,
            blobs=blobs,
            directory=directory,
            submitter=submitter,
            queries=Queries(database, blobs, directory, identity, moved),
            responder=Responder(database, submitter, moved),
            wakeups=wakeups,
            hub=client,
            identity=identity,
            attachments=attachments,
            clock=moved,
            adapter=adapter or RecordingAdapter(),
            settings=settings,
            guards=guards,
        )


async def eventually(condition: Callable[[], bool | Awaitable[bool]], what: str = "") -> None:
    """Wait until `condition` holds; the test fails if it does not in time."""
    ends_at = asyncio.get_running_loop().time() + PATIENCE
    while True:
        holds = condition()
        if holds if isinstance(holds, bool) else await holds:
            return
        assert asyncio.get_running_loop().time() < ends_at, f"in vain: {what or condition}"
        await asyncio.sleep(0.01)
