"""All loops of the exchange, put together: what `congvan node serve` runs beside its adapters and its HTTP server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from node.settings_exchange import BackoffSettings, ExchangeSettings
from node.store.sending_queue import ReadyMessage
from node.usecases.adapter_calls import AdapterCalls
from node.usecases.attachment_recovery import AttachmentRecovery
from node.usecases.attachments import Attachments
from node.usecases.consigning import Consigning
from node.usecases.continuity import Continuity
from node.usecases.deadlines import Deadlines
from node.usecases.directory import DirectoryCopy
from node.usecases.downloads import Downloads
from node.usecases.guarding import Guards
from node.usecases.handover import AdapterRoute, HandingOver
from node.usecases.handover_ending import Endings
from node.usecases.handover_record import HandoverRecord
from node.usecases.holds import Holds
from node.usecases.hub_watch import HubWatch
from node.usecases.identity import NodeIdentity
from node.usecases.intake import Intake
from node.usecases.judging import Judge
from node.usecases.leavings import Leavings
from node.usecases.messages_read import MessagesRead
from node.usecases.own_messages import OwnMessages
from node.usecases.push_contact import PushContact
from node.usecases.receipt_intake import ReceiptIntake
from node.usecases.receipts import ReceiptVerifier
from node.usecases.receiving import Receiving
from node.usecases.reporting import Reporting
from node.usecases.resubmitting import Resubmitting
from node.usecases.retention import Retention
from node.usecases.returns import Returns
from node.usecases.sending import Sending
from node.usecases.transfers import Transfers
from node.workers.attachment_recovery import AttachmentFetcher
from node.workers.deadlines import DeadlineWatcher
from node.workers.directory_sync import DirectorySync
from node.workers.express_receiver import ExpressReceiver
from node.workers.fair_places import FairPlaces
from node.workers.handover import InboxQueue
from node.workers.holds import HoldWatcher
from node.workers.pool import Pool, RowT, WorkQueue
from node.workers.receiver import Receiver
from node.workers.reporter import Reporter
from node.workers.resubmitter import ResubmissionQueue
from node.workers.retention import Purger
from node.workers.runs import Run
from node.workers.sender import OutboxQueue
from node.workers.sweeper import Sweeper
from runtime.blobs import BlobStore
from runtime.clock import Clock
from runtime.database import Database
from runtime.lifecycle import Service
from runtime.wakeups import Wakeups
from transport.client import HubClient


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeParts:
    """What the loops stand on. `route` gives the adapter that hands over to an agency."""

    database: Database
    blobs: BlobStore
    attachments: Attachments
    downloads: Downloads
    transfers: Transfers
    directory: DirectoryCopy
    identity: NodeIdentity
    hub: HubClient
    route: AdapterRoute
    calls: AdapterCalls
    guards: Guards
    wakeups: Wakeups
    settings: ExchangeSettings
    clock: Clock
    chance: Random
    read: MessagesRead = field(default_factory=MessagesRead)


def exchange_services(parts: ExchangeParts, intake: Intake, pushes: PushContact) -> Mapping[str, Service]:
    """The services by name, for `runtime.lifecycle.run_services`."""
    verifier = ReceiptVerifier(parts.database, parts.directory, parts.identity)
    leavings = Leavings(parts.database, parts.blobs, parts.clock)
    busy = asyncio.Event()
    retention = Retention(
        parts.database,
        leavings,
        clock=parts.clock,
        settings=parts.settings.retention,
        window=parts.settings.restore.window,
    )
    return {
        "sender": _sender(parts, verifier, intake.compared).run,
        "resubmitter": _resubmitter(parts, verifier, intake.compared).run,
        "receiver": _receiver(parts, intake, pushes, busy).run,
        "express-receiver": ExpressReceiver(
            parts.hub, intake, busy, settings=parts.settings.receiver, chance=parts.chance
        ).run,
        "handover": _handover(parts).run,
        "reporter": Reporter(
            Reporting(parts.database, parts.hub, parts.settings.reports),
            parts.wakeups,
            settings=parts.settings.reports,
            spread=parts.settings.receiver.spread,
            chance=parts.chance,
        ).run,
        "directory": DirectorySync(
            parts.directory, parts.hub, settings=parts.settings.directory, chance=parts.chance
        ).run,
        "own-attachments": AttachmentFetcher(
            AttachmentRecovery(parts.database, parts.attachments, parts.downloads, parts.clock),
            parts.wakeups,
            backoff=parts.settings.receiver.backoff,
            chance=parts.chance,
        ).run,
        "sweeper": Sweeper(leavings, parts.chance).run,
        "retention": Purger(retention).run,
        "deadlines": DeadlineWatcher(
            Deadlines(parts.database, near=timedelta(seconds=parts.settings.deadlines.near), clock=parts.clock)
        ).run,
        "holds": HoldWatcher(Holds(parts.database, parts.hub, parts.wakeups), parts.wakeups).run,
    }


def _pool(
    parts: ExchangeParts, queue: WorkQueue[RowT], backoff: BackoffSettings, *, gate: asyncio.Event | None = None
) -> Pool[RowT]:
    spread = parts.settings.receiver.spread
    return Pool(queue, parts.wakeups, clock=parts.clock, backoff=backoff, spread=spread, chance=parts.chance, gate=gate)


def _sender(parts: ExchangeParts, verifier: ReceiptVerifier, gate: asyncio.Event | None = None) -> Pool[ReadyMessage]:
    settings = parts.settings.sender
    queue = OutboxQueue(
        parts.database, _sending(parts, verifier), settings=settings, clock=parts.clock, chance=parts.chance
    )
    return _pool(parts, queue, settings.backoff, gate=gate)


def _resubmitter(parts: ExchangeParts, verifier: ReceiptVerifier, gate: asyncio.Event) -> Pool[ReadyMessage]:
    settings = parts.settings.sender
    resubmitting = Resubmitting(
        parts.database,
        _sending(parts, verifier),
        settings=settings,
        window=parts.settings.restore.window,
        clock=parts.clock,
        chance=parts.chance,
    )
    queue = ResubmissionQueue(parts.database, resubmitting, settings=settings, clock=parts.clock, chance=parts.chance)
    return _pool(parts, queue, settings.backoff, gate=gate)


def _sending(parts: ExchangeParts, verifier: ReceiptVerifier) -> Sending:
    return Sending(
        parts.database,
        parts.attachments,
        parts.hub,
        verifier,
        parts.directory,
        wakeups=parts.wakeups,
        transfers=parts.transfers,
        settings=parts.settings.sender,
        window=parts.settings.restore.window,
        clock=parts.clock,
        chance=parts.chance,
    )


def intake_of(parts: ExchangeParts) -> Intake:
    """The way in for mail, which the receiver shares with who takes pushes."""
    settings = parts.settings.receiver
    verifier = ReceiptVerifier(parts.database, parts.directory, parts.identity)
    limits = parts.settings.limits.limits()
    own = OwnMessages(
        parts.database, parts.hub, parts.directory, verifier, parts.wakeups, limits=limits, clock=parts.clock
    )
    receiving = Receiving(
        parts.attachments,
        parts.downloads,
        judge=Judge(parts.database, parts.directory, verifier, limits),
        consigning=Consigning(
            parts.database,
            parts.blobs,
            parts.identity,
            parts.read,
            parts.wakeups,
            clock=parts.clock,
            hold=timedelta(seconds=parts.settings.handover.hold),
            arrival_status=settings.arrival_status,
        ),
        receipts=ReceiptIntake(parts.database, verifier, own, parts.wakeups, parts.clock),
        returns=Returns(parts.database, parts.hub, parts.identity, parts.wakeups, parts.clock),
        settings=settings,
    )
    return Intake(
        parts.hub,
        receiving,
        directory=parts.directory,
        continuity=Continuity(
            parts.database,
            parts.hub,
            own,
            parts.wakeups,
            window=parts.settings.restore.window,
            clock=parts.clock,
        ),
        blobs=parts.blobs,
        reserve=settings.reserve_bytes,
    )


def _receiver(parts: ExchangeParts, intake: Intake, pushes: PushContact, busy: asyncio.Event) -> Receiver:
    settings = parts.settings.receiver
    watch = HubWatch(parts.database, parts.wakeups, parts.clock, clock_tolerance=settings.clock_tolerance)
    return Receiver(
        parts.hub,
        intake,
        pushes,
        busy=busy,
        watch=watch,
        settings=settings,
        clock=parts.clock,
        chance=parts.chance,
    )


def _handover(parts: ExchangeParts) -> Pool[Run]:
    settings = parts.settings.handover
    queue = InboxQueue(
        parts.database,
        HandingOver(parts.database, parts.read, parts.route, parts.guards, parts.calls, timeout=settings.timeout),
        HandoverRecord(
            parts.database,
            Endings(parts.identity),
            parts.wakeups,
            backoff=settings.backoff,
            clock=parts.clock,
            chance=parts.chance,
        ),
        parts.wakeups,
        places=FairPlaces(settings, parts.route, lambda: parts.directory.served_codes),
        settings=settings,
        clock=parts.clock,
        chance=parts.chance,
    )
    return _pool(parts, queue, settings.backoff)
