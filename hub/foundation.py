"""What every program of a hub stands on: its settings, keys and database, opened once."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from hub.settings import HubFolder, HubSettings
from hub.store.schema import MIGRATIONS
from hub.usecases.agencies import AgencyRegister
from hub.usecases.agency_import import AgencyImport
from hub.usecases.authority import HubKeys, open_keys
from hub.usecases.cancellation import Cancellation
from hub.usecases.connections import ConnectionRegister, TokenMint
from hub.usecases.directory import DirectoryPublisher
from hub.usecases.endings import Endings
from hub.usecases.evidence import Evidence
from hub.usecases.groups import GroupRegister
from hub.usecases.ownership import require_own_database
from hub.usecases.receipt_signer import ReceiptSigner
from hub.usecases.redelivery import Redelivery
from hub.usecases.unit_requests import UnitRequests
from hub.usecases.units import Units
from runtime.blob_settings import blobs_of
from runtime.blobs import BlobStore
from runtime.clock import Clock, utc_now
from runtime.database import Database, open_database
from runtime.revisions import require_newest
from runtime.wakeups import Wakeups


@dataclass(frozen=True, slots=True)
class Foundation:
    """An open hub. The registers are the operator's, `units` serves nodes; the rest of that is made in `hub.app`."""

    folder: HubFolder
    settings: HubSettings
    keys: HubKeys
    database: Database
    blobs: BlobStore
    clock: Clock

    @property
    def blobs_owner(self) -> str:
        """Whose the store of attachments is."""
        return f"hub {self.settings.hub.name}"

    @property
    def publisher(self) -> DirectoryPublisher:
        return DirectoryPublisher(self.keys.directory, timedelta(days=self.settings.hub.directory.valid_days))

    @property
    def mint(self) -> TokenMint:
        lifetime = timedelta(days=self.settings.hub.enrolment.token_days)
        return TokenMint(self.keys.authority.root, lifetime, secrets.token_bytes)

    @property
    def evidence(self) -> Evidence:
        authority = self.keys.authority
        chain = (authority.root, authority.tls.certificate, authority.seals.certificate)
        return Evidence(self.database, self.blobs, self.settings.hub.name, chain, self.clock)

    @property
    def agencies(self) -> AgencyRegister:
        return AgencyRegister(self.database, self.publisher, self.mint, self.clock)

    @property
    def connections(self) -> ConnectionRegister:
        return ConnectionRegister(self.database, self.publisher, self.mint, self.clock)

    @property
    def agency_import(self) -> AgencyImport:
        return AgencyImport(self.database, self.publisher, self.clock)

    @property
    def groups(self) -> GroupRegister:
        return GroupRegister(self.database, self.publisher, self.clock)

    @property
    def units(self) -> Units:
        return Units(self.database, self.publisher, self.settings.hub.units, self.clock)

    @property
    def unit_requests(self) -> UnitRequests:
        return UnitRequests(self.database, self.publisher, self.clock)

    @property
    def redelivery(self) -> Redelivery:
        return Redelivery(self.database, self.clock, self.settings.exchange.deliveries.days)

    @property
    def cancellation(self) -> Cancellation:
        signer = ReceiptSigner(self.settings.hub.name, self.keys.receipts, self.clock)
        # Nobody waits in this process: the daemon is woken by the doorbell.
        return Cancellation(self.database, Endings(self.database, signer, Wakeups(), self.clock), self.clock)


@asynccontextmanager
async def open_foundation(folder: HubFolder, *, clock: Clock = utc_now) -> AsyncIterator[Foundation]:
    """Open the hub in `folder` for a command, beside the daemon or without it; nothing is migrated.

    Raises `database-taken` if the database is another hub's.
    """
    settings = folder.read_settings()
    keys = open_keys(
        folder.authority,
        folder.keys,
        name=settings.hub.name,
        passphrase=folder.passphrase(settings.hub.passphrase_file),
    )
    blobs = blobs_of(settings.blobs, folder=folder.data, beside=folder.root, clock=clock)
    async with open_database(folder.database(settings.database), must_exist=True) as database:
        await require_own_database(database, settings.hub.name)
        yield Foundation(folder, settings, keys, database, blobs, clock)


@asynccontextmanager
async def open_current(folder: HubFolder) -> AsyncIterator[Foundation]:
    """As `open_foundation`, for who migrates nothing: raises `database-outdated`, `database-newer`."""
    async with open_foundation(folder) as foundation:
        await foundation.database.read(partial(require_newest, folder=MIGRATIONS))
        yield foundation
