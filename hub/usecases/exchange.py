"""The exchange put together: its use cases, made from what the program opened."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Final, Self

from certs.sealing_key import SealingKey
from hub.settings_alerts import AlertSettings
from hub.settings_exchange import ExchangeSettings
from hub.usecases.acceptance import Acceptances
from hub.usecases.alerts import Alerts
from hub.usecases.anchors import Anchors
from hub.usecases.attachments import Attachments
from hub.usecases.endings import Endings
from hub.usecases.expiry import Expiry
from hub.usecases.fanout import Fanout
from hub.usecases.judgement import Judge
from hub.usecases.leavings import Leavings
from hub.usecases.mailbox import Mailbox
from hub.usecases.meters import Meters
from hub.usecases.outcomes import Outcomes
from hub.usecases.places import Places
from hub.usecases.push import PushParts
from hub.usecases.receipt_checks import ReceiptChecks
from hub.usecases.receipt_signer import ReceiptSigner
from hub.usecases.rejections import Rejections
from hub.usecases.replays import Replays
from hub.usecases.retention import Retention
from hub.usecases.space import Room
from hub.usecases.submit import Submissions
from hub.usecases.trace import Traces
from hub.usecases.turns import Turns
from hub.usecases.uploads import Uploads, UploadTerms
from hub.usecases.watch import Watch
from runtime.blobs import BlobStore
from runtime.clock import CertainClock, Clock
from runtime.database import Database
from runtime.wakeups import Wakeups

#: Pieces of attachments that are written or read at a time, of all connections together. A transfer moves one piece at
#: a time: were there more turns than connections that wait, who has more transfers would be faster for it.
_TURNS: Final = 2


@dataclass(frozen=True, slots=True)
class Exchange:
    """The way of a document through the hub, use case by use case. `epoch` is that of the store."""

    epoch: str
    settings: ExchangeSettings
    wakeups: Wakeups
    alerts: Alerts
    submissions: Submissions
    uploads: Uploads
    mailbox: Mailbox
    watch: Watch
    push: PushParts
    outcomes: Outcomes
    attachments: Attachments
    traces: Traces
    replays: Replays
    fanout: Fanout
    expiry: Expiry
    leavings: Leavings
    retention: Retention

    @classmethod
    def of(
        cls,
        database: Database,
        files: BlobStore,
        *,
        name: str,
        epoch: str,
        receipts_key: SealingKey,
        settings: ExchangeSettings,
        alerting: AlertSettings,
        meters: Meters,
        clock: Clock,
        certain: CertainClock,
        chance: Random,
        stop: asyncio.Event,
        outbox: bool = False,
    ) -> Self:
        """The exchange of the hub `name`; `stop` ends the waits of those that wait for mail.

        What ends for good goes by `certain`. `outbox`: there is a broker, to which large fan-outs are announced.
        """
        wakeups = Wakeups()
        anchors = Anchors()
        signer = ReceiptSigner(name, receipts_key, clock)
        judge = Judge(database, anchors, limits=settings.submissions.limits, clock=clock)
        room = Room(database, files, clock, spare=settings.submissions.spare_bytes)
        turns = Turns(_TURNS)
        transfers = settings.submissions.transfers
        terms = UploadTerms(room, turns, Places(transfers, "uploads"), settings.submissions.upload_time)
        uploads = Uploads(database, files, clock, terms)
        acceptances = Acceptances(
            database, files, signer, wakeups, meters, clock=clock, settings=settings, outbox=outbox
        )
        kept = alerting.webhook.kept if alerting.webhook.url else None
        alerts = Alerts(name, kept, meters, wakeups)
        watch = Watch(database, alerts, clock=clock, silence=alerting.silence)
        mailbox = Mailbox(database, wakeups, watch, meters, clock=clock, settings=settings.mailbox, stop=stop)
        rejections = Rejections(database, signer, clock, most=settings.submissions.rejections)
        leavings = Leavings(database, files, uploads, now=certain, settings=settings.submissions)
        return cls(
            epoch=epoch,
            settings=settings,
            wakeups=wakeups,
            alerts=alerts,
            submissions=Submissions(
                database,
                files,
                judge,
                uploads,
                acceptances,
                room=room,
                rejections=rejections,
                meters=meters,
                clock=clock,
                settings=settings,
            ),
            uploads=uploads,
            mailbox=mailbox,
            watch=watch,
            push=PushParts(database, mailbox, watch, alerts, wakeups, meters, epoch, settings.push, clock, chance),
            outcomes=Outcomes(
                database,
                ReceiptChecks(database, anchors, clock),
                wakeups,
                meters,
                epoch=epoch,
                clock=clock,
                chance=chance,
                settings=settings,
            ),
            attachments=Attachments(
                database,
                files,
                mailbox,
                renewal=settings.mailbox.lease_seconds / 3,
                turns=turns,
                places=Places(transfers, "downloads"),
            ),
            traces=Traces(database, clock),
            replays=Replays(database, wakeups, clock),
            fanout=Fanout(database, wakeups, clock=clock),
            expiry=Expiry(database, Endings(database, signer, wakeups, clock), meters, certain),
            leavings=leavings,
            retention=Retention(database, leavings, now=certain, settings=settings.retention),
        )
