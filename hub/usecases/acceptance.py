"""Acceptance: the one transaction in which a judged envelope becomes a message that the hub answers for."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from hub.settings_exchange import ExchangeSettings
from hub.store import agencies, blobs, directory, fanouts, marks, messages, receipts, submissions, work
from hub.store.blobs import Blob, NamedBlob
from hub.store.deliveries import Target
from hub.store.fanouts import Consignment, FanoutStep
from hub.store.messages import NewMessage
from hub.store.metadata import Transaction
from hub.store.receipts import NewReceipt
from hub.store.submissions import Upload
from hub.store.work import WorkKind
from hub.usecases.judgement import Judged
from hub.usecases.lanes import EXPRESS_LANE
from hub.usecases.meters import Meters
from hub.usecases.receipt_signer import ReceiptSigner
from hub.usecases.routing import Route
from hub.usecases.waking import FANOUT, WORK, wake_mailboxes
from runtime.blobs import BlobStore, require_timely
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.codes import AgencyCode
from schemas.envelope import Envelope, Sha256Hex
from schemas.message import Document, Priority
from schemas.receipts import Receipt, ReceiptEvent, SignedReceipt

log = structlog.get_logger()

#: What an entry takes in a mailbox answer beside the envelope and its attachments: receipt, proof, names.
_ENTRY_BYTES = 4096

#: A document id longer than this is left out of receipts: it is a text of the sender's, of any length.
_DOCUMENT_ID_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted message; `repeated` if it was accepted before, and then all is as it was answered then."""

    message_id: Sha256Hex
    acknowledgement: SignedReceipt
    left_out: tuple[str, ...]
    repeated: bool


@dataclass(frozen=True, slots=True)
class _Committed:
    """What the transaction found: the message was new, and its fan-out began, or was there already.

    `files` are those of the submission's uploads.
    """

    acknowledgement: SignedReceipt
    left_out: tuple[str, ...]
    step: FanoutStep | None
    files: tuple[str, ...]


class Acceptances:
    """Accepts messages whose envelopes were judged good and whose attachments are here."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        signer: ReceiptSigner,
        wakeups: Wakeups,
        meters: Meters,
        *,
        clock: Clock,
        settings: ExchangeSettings,
        outbox: bool = False,
    ) -> None:
        """With an `outbox`, deliveries that are left to write are announced to the other processes of the hub."""
        self._database = database
        self._blobs = blobs
        self._signer = signer
        self._wakeups = wakeups
        self._meters = meters
        self._clock = clock
        self._settings = settings
        self._outbox = outbox

    async def accept(self, judged: Judged, attachments: Sequence[Upload]) -> Accepted:
        """Accept a message. When this returns, it is on the disk with all that it names.

        Of two that accept one message at once, both give the acknowledgement that was stored.

        Raises:
            Unavailable: `storage-full`, `blob-missing`, `blobs-placed-too-long-ago`: nothing is accepted, the same may
                succeed later.
        """
        now = self._clock()
        # 1. The long attachments stand under their own names, durably, before anything names them.
        for upload in attachments:
            if upload.content is None:
                await self._blobs.place(upload.file, upload.digest)
        # 2. The acknowledgement is signed: it says what the transaction is about to make true.
        new = self._message(judged, attachments, now)
        acknowledgement = await self._signer.sign(self._receipt(judged, new))
        # 3. All of it, or nothing.
        committed = await self._database.write(
            lambda transaction: self._commit(transaction, judged, new, acknowledgement, attachments),
            urgent=new.lane == EXPRESS_LANE,
        )
        # 4. Whoever waits for it is woken; what was uploaded in vain is dropped.
        if committed.step is not None:
            wake_mailboxes(self._wakeups, committed.step.connections)
            if not committed.step.finished:
                self._wakeups.wake(WORK if self._outbox else FANOUT)
            self._meters.accepted.labels(str(new.lane)).inc()
            log.info(
                "message.accepted",
                message=new.message_id,
                sender=new.sender,
                kind=new.kind,
                priority=new.priority,
                recipients=new.recipients_count,
            )
        for file in committed.files:
            await self._blobs.abandon(file)
        return Accepted(new.message_id, committed.acknowledgement, committed.left_out, repeated=committed.step is None)

    def _commit(
        self,
        transaction: Transaction,
        judged: Judged,
        new: NewMessage,
        acknowledgement: SignedReceipt,
        attachments: Sequence[Upload],
    ) -> _Committed:
        number = messages.add(transaction, new)
        files = submissions.drop(transaction, judged.key) if attachments else ()
        if number is None:
            stored = messages.acceptance(transaction, new.message_id, new.from_code)
            if stored is None:
                raise LookupError(f"the message {new.message_id} is here without its acceptance")
            return _Committed(stored.acknowledgement, stored.left_out, None, files)
        # A sweep may take for leavings what was placed too long ago.
        require_timely(new.accepted_at, self._clock())
        receipts.add(
            transaction,
            [NewReceipt(number, None, ReceiptEvent.SUBMISSION_ACCEPTANCE, acknowledgement)],
            at=new.accepted_at,
        )
        marks.note_accepted(transaction, new.connection, new.message_id)
        blobs.add(transaction, number, self._named(attachments))
        consignment = Consignment(message=number, lane=new.lane, weight=new.weight, expires_at=new.expires_at)
        step = fanouts.begin(
            transaction,
            consignment,
            _served_now(transaction, judged.route),
            batch=self._settings.deliveries.batch,
            at=new.accepted_at,
        )
        if self._outbox and not step.finished:
            work.announce(transaction, WorkKind.FANOUT, str(number), new.sender, at=new.accepted_at)
        messages.add_about(transaction, number, judged.route.about)
        for predecessor in judged.route.lifted:
            fanouts.lift(transaction, predecessor, new.lane)
        return _Committed(acknowledgement, new.left_out, step, files)

    def _named(self, attachments: Sequence[Upload]) -> list[NamedBlob]:
        inline = {upload.digest for upload in self._inline(attachments)}
        return [
            NamedBlob(Blob(upload.digest, upload.size, upload.content), inline=upload.digest in inline)
            for upload in attachments
        ]

    def _inline(self, attachments: Sequence[Upload]) -> Iterable[Upload]:
        """The short attachments that come along in mailbox answers, as far as the settings let them."""
        room = self._settings.mailbox.inline_bytes
        for upload in attachments:
            if upload.content is not None and upload.size <= room:
                room -= upload.size
                yield upload

    def _message(self, judged: Judged, attachments: Sequence[Upload], now: datetime) -> NewMessage:
        envelope, route = judged.envelope, judged.route
        return NewMessage(
            message_id=envelope.message_id,
            from_code=judged.key.from_code,
            sender=judged.sender,
            connection=judged.key.connection,
            kind=route.kind,
            document_id=_document_id(envelope.value),
            priority=int(route.priority),
            lane=route.lane,
            accepted_at=now,
            expires_at=self._expiry(envelope.value, route.priority, now),
            directory_version=route.directory_version,
            recipients_count=len(route.targets),
            recipients_digest=recipients_digest(target.recipient for target in route.targets),
            left_out=route.left_out,
            weight=len(envelope.data) + sum(upload.size for upload in self._inline(attachments)) + _ENTRY_BYTES,
            envelope=envelope.data,
        )

    def _expiry(self, envelope: Envelope, priority: Priority, now: datetime) -> datetime:
        """The hub's own time to live, or the sender's if that ends sooner."""
        own, wanted = now + self._settings.deliveries.days.of(priority), envelope.extension.expires_at
        return own if wanted is None else min(own, wanted)

    def _receipt(self, judged: Judged, new: NewMessage) -> Receipt:
        short = new.document_id if new.document_id and len(new.document_id) <= _DOCUMENT_ID_CHARACTERS else None
        return Receipt(
            receipt_id=secrets.token_hex(16),
            event=ReceiptEvent.SUBMISSION_ACCEPTANCE,
            issuer=self._signer.issuer,
            message_id=judged.envelope.message_id,
            sender=AgencyCode(new.from_code),
            document_id=short,
            occurred_at=new.accepted_at,
            recipients_digest=new.recipients_digest,
            recipients_count=new.recipients_count,
            directory_version=new.directory_version,
        )


def _served_now(transaction: Transaction, route: Route) -> Sequence[Target]:
    """The targets, each at the connection that serves it now: one may have moved since the message was routed."""
    if directory.directory_version(transaction) == route.directory_version:
        return route.targets
    known = agencies.resolve(transaction, [target.recipient for target in route.targets])
    return [
        Target(known[target.recipient].connection, target.recipient) if target.recipient in known else target
        for target in route.targets
    ]


def recipients_digest(recipients: Iterable[str]) -> Sha256Hex:
    """SHA-256 over the recipients' codes of today: sorted, each a line of its own that ends in LF."""
    return hashlib.sha256("".join(f"{code}\n" for code in sorted(recipients)).encode()).hexdigest()


def _document_id(envelope: Envelope) -> str | None:
    message = envelope.message
    return message.document_id if isinstance(message, Document) else message.response_for.document_id
