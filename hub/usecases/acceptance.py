"""Acceptance: the one transaction in which a judged envelope becomes a message that the hub answers for."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
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
from runtime.grouped_writes import DatabaseAway
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
class Whole:
    """An envelope that was judged good, with all its attachments, in the order in which it names them."""

    judged: Judged
    attachments: tuple[Upload, ...]


@dataclass(frozen=True, slots=True)
class _Entering:
    """A message that is to be written, with the acknowledgement that is signed for it."""

    whole: Whole
    new: NewMessage
    acknowledgement: SignedReceipt


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

    async def accept_all(self, whole: Sequence[Whole]) -> list[Accepted | Exception]:
        """Accept messages of one connection. When this returns, they are on the disk with all that they name.

        They share a signature and a transaction; if that fails, each is tried by itself. Of two that accept one message
        at once, both give the acknowledgement that was stored. Instead of a message that could not be accepted stands
        why: Unavailable (`storage-full`, `blob-missing`, `blobs-placed-too-long-ago`; the same may succeed later).
        """
        if not whole:
            return []
        try:
            return list(await self._accepted(whole))
        except Exception as error:  # noqa: BLE001 - every error belongs to one submission, and none suffers for another
            if len(whole) == 1 or isinstance(error, DatabaseAway):
                return [error] * len(whole)
            return [outcome for each in whole for outcome in await self.accept_all([each])]

    async def _accepted(self, whole: Sequence[Whole]) -> list[Accepted]:
        now = self._clock()
        # 1. The long attachments stand under their own names, durably, before anything names them.
        for each in whole:
            for upload in each.attachments:
                if upload.content is None:
                    await self._blobs.place(upload.file, upload.digest)
        # 2. The acknowledgements are signed: they say what the transaction is about to make true.
        entering: list[_Entering] = []
        messages_of = [(each, self._message(each, now)) for each in whole]
        signed = await self._signer.sign_all([self._receipt(each.judged, new) for each, new in messages_of])
        for (each, new), acknowledgement in zip(messages_of, signed, strict=True):
            if isinstance(acknowledgement, BaseException):
                raise acknowledgement
            entering.append(_Entering(each, new, acknowledgement))
        # 3. All of it, or nothing.
        committed = await self._database.write(
            lambda transaction: self._commit(transaction, entering, now),
            urgent=any(each.new.lane == EXPRESS_LANE for each in entering),
        )
        # 4. Whoever waits for it is woken; what was uploaded in vain is dropped.
        self._tell([(each.new, done.step) for each, done in zip(entering, committed, strict=True) if done.step])
        # A poll that waits for one of them goes first: in one turn of the event loop it asks for its lease, in the next
        # that is under way; then the answers are written.
        for _ in range(2):
            await asyncio.sleep(0)
        for done in committed:
            for file in done.files:
                await self._blobs.abandon(file)
        return [
            Accepted(each.new.message_id, done.acknowledgement, done.left_out, repeated=done.step is None)
            for each, done in zip(entering, committed, strict=True)
        ]

    def _tell(self, begun: Sequence[tuple[NewMessage, FanoutStep]]) -> None:
        """Wake whoever has something new, and log what was accepted in one line."""
        if not begun:
            return
        wake_mailboxes(self._wakeups, {connection for _, step in begun for connection in step.connections})
        if not all(step.finished for _, step in begun):
            self._wakeups.wake(WORK if self._outbox else FANOUT)
        for new, _ in begun:
            self._meters.accepted.labels(str(new.lane)).inc()
        if len(begun) > 1:
            log.info("messages.accepted", messages=[new.message_id for new, _ in begun], count=len(begun))
            return
        ((new, _),) = begun
        log.info(
            "message.accepted",
            message=new.message_id,
            sender=new.sender,
            kind=new.kind,
            priority=new.priority,
            recipients=new.recipients_count,
        )

    def _commit(self, transaction: Transaction, entering: Sequence[_Entering], at: datetime) -> list[_Committed]:
        numbers = messages.add(transaction, [each.new for each in entering])
        begun = {
            number: each for number, each in zip(numbers, entering, strict=True) if number is not None
        }  # the others are held already
        steps = self._begin(transaction, begun, at) if begun else {}
        files = _dropped(transaction, [each.whole for each in entering])
        return [
            _committed(transaction, each, None if number is None else steps[number], dropped)
            for each, number, dropped in zip(entering, numbers, files, strict=True)
        ]

    def _begin(self, transaction: Transaction, begun: Mapping[int, _Entering], at: datetime) -> dict[int, FanoutStep]:
        """Write what belongs to new messages, by number, and their first deliveries."""
        # A sweep may take for leavings what was placed too long ago.
        require_timely(at, self._clock())
        receipts.add_acceptances(transaction, {number: each.acknowledgement for number, each in begun.items()}, at=at)
        *_, newest = begun.values()
        marks.note_accepted(transaction, newest.new.connection, newest.new.message_id)
        blobs.add(transaction, {number: self._named(each.whole.attachments) for number, each in begun.items()})
        version = directory.directory_version(transaction)
        consignments = {
            Consignment(
                message=number, lane=each.new.lane, weight=each.new.weight, expires_at=each.new.expires_at
            ): _served_now(transaction, each.whole.judged.route, version)
            for number, each in begun.items()
        }
        batch = self._settings.deliveries.batch
        steps = dict(zip(begun, fanouts.begin(transaction, consignments, batch=batch, at=at), strict=True))
        for number, each in begun.items():
            route = each.whole.judged.route
            if self._outbox and not steps[number].finished:
                work.announce(transaction, WorkKind.FANOUT, str(number), each.new.sender, at=at)
            messages.add_about(transaction, number, route.about)
            for predecessor in route.lifted:
                fanouts.lift(transaction, predecessor, each.new.lane)
        return steps

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

    def _message(self, whole: Whole, now: datetime) -> NewMessage:
        judged = whole.judged
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
            weight=len(envelope.data) + sum(upload.size for upload in self._inline(whole.attachments)) + _ENTRY_BYTES,
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


def _committed(
    transaction: Transaction, entered: _Entering, step: FanoutStep | None, files: tuple[str, ...]
) -> _Committed:
    if step is not None:
        return _Committed(entered.acknowledgement, entered.new.left_out, step, files)
    stored = messages.acceptance(transaction, entered.new.message_id, entered.new.from_code)
    if stored is None:
        raise LookupError(f"the message {entered.new.message_id} is here without its acceptance")
    return _Committed(stored.acknowledgement, stored.left_out, None, files)


def _dropped(transaction: Transaction, whole: Sequence[Whole]) -> list[tuple[str, ...]]:
    """Forget the submissions that are whole now; gives the files that the uploads of each may have left."""
    connections = {each.judged.key.connection for each in whole if each.attachments}
    waiting = {connection for connection in connections if submissions.waits(transaction, connection)}
    return [
        submissions.drop(transaction, each.judged.key)
        if each.attachments and each.judged.key.connection in waiting
        else ()
        for each in whole
    ]


def _served_now(transaction: Transaction, route: Route, version: int) -> Sequence[Target]:
    """The targets, each at the connection that serves it now: one may have moved since the message was routed.

    `version` is the directory's newest.
    """
    if version == route.directory_version:
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
