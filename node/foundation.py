"""What every program of a node stands on, opened once: for the daemon, and for commands beside it or without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from certs.tls import client_context
from node.guard_tables import open_guards
from node.settings import NodeFolder, NodeSettings
from node.store.migrate import MIGRATIONS
from node.usecases.amendments import Amendments
from node.usecases.attachments import Attachments
from node.usecases.awaiting import AwaitingDeliveries
from node.usecases.directory import DirectoryCopy
from node.usecases.enrolment import KeyFiles, open_identity
from node.usecases.event_log import EventLog
from node.usecases.evidence import Evidence
from node.usecases.facade import NodeFacade, NodeParts
from node.usecases.guarding import Guards
from node.usecases.handover_ending import Endings
from node.usecases.identity import NodeIdentity
from node.usecases.parked import ParkedHandovers
from node.usecases.queries import Queries
from node.usecases.sent_documents import SentDocuments
from node.usecases.statuses import Responder
from node.usecases.submit import Submitter
from node.usecases.transfers import Transfers
from node.usecases.units import Units
from runtime.blob_settings import blobs_of
from runtime.blobs import BlobStore
from runtime.clock import Clock, utc_now
from runtime.database import Database, open_database
from runtime.migrations import upgrade
from runtime.revisions import require_newest
from runtime.wakeups import Wakeups
from schemas.limits import Limits
from transport.client import HubClient, open_hub_client


@dataclass(frozen=True, slots=True)
class Foundation:
    """A node's settings, keys and record, and what is done with them."""

    folder: NodeFolder
    settings: NodeSettings
    keys: KeyFiles
    identity: NodeIdentity
    database: Database
    blobs: BlobStore
    attachments: Attachments
    transfers: Transfers
    directory: DirectoryCopy
    guards: Guards
    submitter: Submitter
    wakeups: Wakeups
    clock: Clock

    @property
    def blobs_owner(self) -> str:
        """Whose the store of attachments is."""
        return f"node {self.identity.connection}"

    @property
    def limits(self) -> Limits:
        return self.settings.exchange.limits.limits()

    @property
    def queries(self) -> Queries:
        return Queries(self.database, self.blobs, self.directory, self.identity, self.clock)

    @property
    def responder(self) -> Responder:
        return Responder(self.database, self.submitter, self.clock)

    @property
    def amendments(self) -> Amendments:
        return Amendments(self.database, self.submitter, self.directory, self.clock)

    @property
    def parked(self) -> ParkedHandovers:
        return ParkedHandovers(self.database, self.wakeups, self.clock)

    @property
    def evidence(self) -> Evidence:
        return Evidence(self.database, self.blobs, self.identity, self.clock)

    @property
    def units(self) -> Units:
        return Units(self.hub_client, self.directory)

    def api(self, name: str, *, desk: str | None = None) -> NodeFacade:
        """The node as the adapter `name` sees it, which offers what awaits the software of `desk`, if that is given."""
        return NodeFacade(
            name,
            NodeParts(
                submitter=self.submitter,
                directory=self.directory,
                attachments=self.attachments,
                responder=self.responder,
                amendments=self.amendments,
                sent=SentDocuments(self.database),
                units=self.units,
                awaiting=AwaitingDeliveries(self.database, Endings(self.identity), self.wakeups, self.clock),
                events=EventLog(self.database, self.wakeups),
            ),
            desk=desk,
        )

    @asynccontextmanager
    async def hub_client(self) -> AsyncIterator[HubClient]:
        """A client that shows the node's certificate. It connects when it is first used."""
        hub = self.settings.hub
        tls = client_context(self.identity.hub_authority, self.keys.tls_chain, self.keys.tls_key, self.keys.passphrase)
        async with open_hub_client(
            hub.url, tls, source_address=hub.source_address or None, connect_to=hub.connect_to or None
        ) as client:
            yield client


@asynccontextmanager
async def open_foundation(folder: NodeFolder, *, clock: Clock = utc_now) -> AsyncIterator[Foundation]:
    """Open the node in `folder`. Nothing is migrated, and the copy of the directory is not loaded yet."""
    settings = folder.read_settings()
    keys = KeyFiles(folder.keys, folder.passphrase(settings.node.passphrase_file))
    identity = open_identity(keys)
    async with (
        open_database(folder.database(settings.database), must_exist=True) as database,
        AsyncExitStack() as stack,
    ):
        blobs = blobs_of(settings.blobs, folder=folder.blobs, beside=folder.root, clock=clock)
        transfers = Transfers(database, blobs, clock, reserve=settings.exchange.receiver.reserve_bytes)
        attachments = Attachments(database, blobs, transfers)
        directory = DirectoryCopy(database, identity, clock)
        wakeups = Wakeups()
        posts = await open_guards(settings.guards, folder, clock, stack)
        guards = Guards(posts, attachments, clock)
        submitter = Submitter(
            database,
            attachments,
            directory,
            identity,
            guards,
            limits=settings.exchange.limits.limits(),
            clock=clock,
            wakeups=wakeups,
        )
        yield Foundation(
            folder,
            settings,
            keys,
            identity,
            database,
            blobs,
            attachments,
            transfers,
            directory,
            guards,
            submitter,
            wakeups,
            clock,
        )


@asynccontextmanager
async def open_current(folder: NodeFolder) -> AsyncIterator[Foundation]:
    """As `open_foundation`, for who migrates nothing: raises `database-outdated`, `database-newer`."""
    async with open_foundation(folder) as foundation:
        await foundation.database.read(partial(require_newest, folder=MIGRATIONS))
        yield foundation


async def migrate(folder: NodeFolder) -> tuple[str | None, str | None]:
    """Bring the database to the newest schema; gives the revisions before and after."""
    settings = folder.read_settings()
    async with open_database(folder.database(settings.database), must_exist=True) as database:
        return await upgrade(database, MIGRATIONS)
