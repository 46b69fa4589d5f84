"""Submit once: seal, keep, queue; all of it durable before anyone is answered.

What goes into the seal comes from the key's row (`submission_id`, `created_at`), so that sealing the same row again
gives the same message id. The row, the sealed bytes and the short attachments commit in one transaction; long
attachments are durable before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, TypeAlias, TypeVar

import structlog

from adapters.sdk import Submission, Submitted
from certs.sealing import seal
from node.store import companions, outbox, recovered
from node.store import messages as message_store
from node.store.messages import RecordedMessage
from node.store.metadata import Transaction
from node.store.outbox import KnownKey, OutboxEntry
from node.store.records import CompanionRow
from node.store.verdicts import GuardVerdict
from node.usecases.about import status_before
from node.usecases.attachments import Attachments, KeptAttachment
from node.usecases.directory import DirectoryCopy
from node.usecases.guarding import Guards
from node.usecases.identity import NodeIdentity
from node.usecases.lanes import EXPRESS_LANE
from node.usecases.message_log import MessageLog
from node.usecases.parts import Part, parts_of
from node.usecases.retention import sealed_bytes
from node.usecases.selection import require_selectable
from node.usecases.submission_envelope import envelope_of
from node.usecases.submission_ids import submission_id_of
from node.usecases.transitions import require_transition, said_already
from node.usecases.work import Work
from runtime.blobs import require_timely
from runtime.clock import Clock
from runtime.database import Database
from runtime.thread_batches import ThreadBatches
from runtime.wakeups import Wakeups
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.errors import LimitExceeded, Rejected
from schemas.instants import instant_text
from schemas.limits import Limits
from schemas.message import BusinessType, Document, Message, StatusCode, StatusMessage

log = structlog.get_logger()

T = TypeVar("T")

#: For how long a judgement by record and directory stands, while attachments are copied and guards asked.
_FRESH: Final = timedelta(seconds=1)

#: A document to more agencies is looked at by itself.
_FEW: Final = 16


@dataclass(frozen=True, slots=True)
class _Look:
    """A submission at one moment: whose it is (today's code), and the message that it repeats, or what it becomes.

    `is_claimable`: a message that was fetched back after a restore waits for its key.
    """

    sender: AgencyCode
    known: KnownKey | None = None
    is_claimable: bool = False
    parts: tuple[Part, ...] = ()


#: The sealing of what one submission becomes.
_Sealing: TypeAlias = Callable[[], list[OutboxEntry]]


class Submitter:
    """Takes messages for the outbox. Needs no hub, so it works in a command beside the daemon, or without one."""

    def __init__(
        self,
        database: Database,
        attachments: Attachments,
        directory: DirectoryCopy,
        identity: NodeIdentity,
        guards: Guards,
        *,
        limits: Limits,
        clock: Clock,
        wakeups: Wakeups,
    ) -> None:
        self._database = database
        self._attachments = attachments
        self._directory = directory
        self._identity = identity
        self._guards = guards
        self._limits = limits
        self._clock = clock
        self._wakeups = wakeups
        self._submitted = MessageLog(one="message.submitted", many="messages.submitted")
        # A thread at a time: signing holds the interpreter's lock.
        self._sealing: ThreadBatches[_Sealing, list[OutboxEntry]] = ThreadBatches(_each)

    async def submit(
        self, adapter: str, submission: Submission, *, progress: Callable[[int], None] = lambda _bytes: None
    ) -> Submitted:
        """Seal and queue a message on behalf of `adapter`; see `adapters.sdk.Submission`.

        `progress` is told of the bytes of attachments as they are copied.

        Raises Rejected: `sender-not-served`, `recipient-unknown` (with a near code, if there is one),
        `recipient-suspended`, `recipient-retired`, `group-unknown`, `no-recipient`, `selectors-not-allowed`,
        `secrecy-forbidden`, `already-expired`, `key-conflict`, `document-unknown`, `about-not-allowed`,
        `attachment-too-large`, `too-many-attachments`, `too-many-recipients`, `file-missing`, what the form of
        edXML refuses, and what guards do; Unavailable: `storage-full`, `directory-missing` (no version of the directory
        has come yet), and the rule of a guard that cannot judge now.
        """
        await self._directory.require_version()
        look = partial(self._look, adapter=adapter, submission=submission)
        first = await self._asked(submission, look)
        if first.is_claimable:
            known = await self.known(adapter, submission.key, submission.fingerprint, first.sender)
            if known is not None:
                return known
            first = await self._asked(submission, look)
        if first.known is not None:
            return _repeated(first.known, submission.key, submission.fingerprint)
        # Judged before attachments are copied and guards asked, and again if that took long: the directory may change.
        parts, looked_at = first.parts, self._clock()
        kept = await self._kept(adapter, submission, progress)
        verdicts = await self._guards.outgoing(submission, kept)
        if not timedelta(0) <= self._clock() - looked_at <= _FRESH:
            plan = partial(self._planned, adapter=adapter, submission=submission, sender=first.sender)
            parts = await self._asked(submission, plan)
        entries = await self._sealing(partial(self._sealed, parts, submission, kept, first.sender, verdicts))
        return await self._queued(parts, entries, kept, submission)

    async def _asked(self, submission: Submission, question: Callable[[Transaction], T]) -> T:
        """The answer of record and directory about a submission, in one snapshot."""
        ask = self._database.glance if _is_light(submission) else self._database.read
        try:
            return await ask(question)
        except Rejected as error:
            if error.code == "recipient-unknown":
                await self._suggest(submission.message, error)
            raise

    def _look(self, transaction: Transaction, adapter: str, submission: Submission) -> _Look:
        message = submission.message
        sender = self._directory.served(transaction, message.sender.organ_id).code
        known = outbox.known_key(transaction, adapter, sender, submission.key)
        if known is not None:
            return _Look(sender, known)
        if recovered.is_claimable(transaction, submission_id_of(adapter, sender, submission.key)):
            return _Look(sender, is_claimable=True)
        self._require_admissible(submission)
        if isinstance(message, StatusMessage):
            # Software repeats what it knows: the message that says this status already, under whatever key.
            said = status_before(transaction, message, sender, submission.about)
            if said is not None:
                return _Look(sender, KnownKey(said, submission.fingerprint))
        return _Look(sender, parts=self._planned(transaction, adapter, submission, sender))

    def _planned(
        self, transaction: Transaction, adapter: str, submission: Submission, sender: AgencyCode
    ) -> tuple[Part, ...]:
        ask = partial(self._directory.standing_now, transaction)
        return parts_of(transaction, adapter, submission, sender, ask=ask, most=self._limits.recipients)

    async def known(self, adapter: str, key: str, fingerprint: Sha256Hex, sender: AgencyCode) -> Submitted | None:
        """What `key` stands for already, of `adapter` and `sender` (today's code); None if it is new.

        Raises Rejected: `key-conflict`.
        """
        submission_id = submission_id_of(adapter, sender, key)

        def look(transaction: Transaction) -> tuple[KnownKey | None, bool]:
            known = outbox.known_key(transaction, adapter, sender, key)
            return known, known is None and recovered.is_claimable(transaction, submission_id)

        known, is_claimable = await self._database.read(look)
        if is_claimable:
            # Fetched back after a restore: it is judged by nothing that it has itself brought about since.
            claim = partial(
                recovered.claim, submission_id=submission_id, adapter=adapter, key=key, fingerprint=fingerprint
            )
            message_id = await self._database.write(claim)
            known = KnownKey(message_id, fingerprint) if message_id else None
        return None if known is None else _repeated(known, key, fingerprint)

    def _sealed(
        self,
        parts: Sequence[Part],
        submission: Submission,
        kept: Sequence[KeptAttachment],
        sender: AgencyCode,
        verdicts: Sequence[GuardVerdict],
    ) -> list[OutboxEntry]:
        """Every part, sealed. Work for a thread: sealing takes a millisecond."""
        created_at = self._clock()
        entries = []
        for part in parts:
            envelope = envelope_of(submission, part, kept, created_at)
            sealed = seal(envelope, self._identity.seal, created_at)
            if len(sealed.data) > self._limits.envelope_bytes:
                raise LimitExceeded(
                    "message-too-large",
                    f"The envelope has {len(sealed.data)} bytes; {self._limits.envelope_bytes} are allowed.",
                    mend="Send long content as an attachment.",
                )
            message = RecordedMessage(
                message_id=sealed.message_id, envelope=envelope, data=sealed.data, sender=sender, lane=part.lane
            )
            entries.append(
                OutboxEntry(
                    message=message,
                    adapter=part.adapter,
                    key=part.key,
                    fingerprint=submission.fingerprint,
                    submission_id=part.submission_id,
                    created_at=created_at,
                    recipients=part.recipients,
                    selectors=part.selectors,
                    verdicts=verdicts,
                    override=submission.override,
                )
            )
        return entries

    async def _queued(
        self,
        parts: Sequence[Part],
        entries: Sequence[OutboxEntry],
        kept: Sequence[KeptAttachment],
        submission: Submission,
    ) -> Submitted:
        small = {attachment.digest: attachment.content for attachment in kept if attachment.content is not None}
        leader = entries[0]
        began = self._clock()
        await self._attachments.touch(attachment.digest for attachment in kept if attachment.content is None)

        def queue(transaction: Transaction) -> KnownKey | None:
            require_timely(began, self._clock())
            content = leader.message.envelope.message
            if isinstance(content, StatusMessage):
                # Two answers may have been judged side by side; the second follows the first, or says the same.
                spoken_of, sender = parts[0].about[0], leader.message.sender
                known = outbox.known_key(transaction, leader.adapter, sender, leader.key)
                said = known.message_id if known else said_already(transaction, content, spoken_of, sender)
                if said is not None:
                    return known or KnownKey(said, submission.fingerprint)
                require_transition(transaction, content, spoken_of, sender)
            known = outbox.add(transaction, leader)
            if known is None:
                message_store.add_small_blobs(transaction, small)
                _add_companions(transaction, parts, entries)
            return known

        known = await self._database.write(queue, urgent=leader.message.lane == EXPRESS_LANE)
        if known is not None:
            return _repeated(known, submission.key, submission.fingerprint)
        self._wakeups.wake(Work.SENDING)
        for entry in entries:
            sender = entry.message.sender.value
            self._submitted.tell(entry.message.message_id, sender=sender, adapter=entry.adapter)
        if submission.override is not None:
            log.warning(
                "guard.overridden",
                message=leader.message.message_id,
                by=submission.override.by,
                reason=submission.override.reason,
            )
        return Submitted(leader.message.message_id, repeated=False)

    def _require_admissible(self, submission: Submission) -> None:
        if submission.secrecy is not None:
            raise Rejected(
                "secrecy-forbidden",
                "The document is marked as a state secret; none may enter.",
                mend="Send it by the way that the law prescribes for state secrets.",
            )
        if submission.expires_at is not None and submission.expires_at <= self._clock():
            raise Rejected(
                "already-expired",
                f"The message expired at {instant_text(submission.expires_at)}: nobody would be handed it.",
                element="expires_at",
                mend="Give it a later expiry, or none.",
            )
        if len(submission.attachments) > self._limits.attachments:
            raise LimitExceeded(
                "too-many-attachments",
                f"The message has {len(submission.attachments)} attachments; {self._limits.attachments} are allowed.",
                mend="Send several documents.",
            )
        message = submission.message
        require_selectable(message, submission.selectors)
        if isinstance(message, Document) and len(message.recipients) > self._limits.recipients:
            raise LimitExceeded(
                "too-many-recipients",
                f"The message goes to {len(message.recipients)} agencies; {self._limits.recipients} are allowed.",
                mend="Send it in parts.",
            )

    async def _kept(
        self, adapter: str, submission: Submission, progress: Callable[[int], None]
    ) -> list[KeptAttachment]:
        kept: list[KeptAttachment] = []
        left = self._limits.message_attachment_bytes
        for attachment in submission.attachments:
            limit = min(self._limits.attachment_bytes, left)
            copied = await self._attachments.keep(attachment.path, adapter=adapter, limit=limit, progress=progress)
            kept.append(copied)
            left -= kept[-1].size
        return kept

    async def _suggest(self, message: Message, error: Rejected) -> None:
        """Add to the error about an unknown recipient a code that looks like it."""
        for recipient in message.recipients if isinstance(message, Document) else ():
            if await self._directory.agency(recipient.organ_id) is None:
                near = await self._directory.near(recipient.organ_id)
                if near is not None:
                    error.mend = f"Did you mean {near}? Check the code in the directory."
                return


def _is_light(submission: Submission) -> bool:
    """Whether a look at it takes a few statements: neither a circular, nor what changes who has a document."""
    message = submission.message
    if isinstance(message, StatusMessage):
        # What is taken back is so for everybody to whom the document went.
        return message.status_code is not StatusCode.TAKEN_BACK
    return message.business_type is BusinessType.NEW and not submission.selectors and len(message.recipients) <= _FEW


def _each(sealings: Sequence[_Sealing]) -> list[list[OutboxEntry] | Exception]:
    outcomes: list[list[OutboxEntry] | Exception] = []
    for sealing in sealings:
        try:
            outcomes.append(sealing())
        except Exception as error:  # noqa: BLE001 - it belongs to the submission whose sealing it is
            outcomes.append(error)
    return outcomes


def _add_companions(transaction: Transaction, parts: Sequence[Part], entries: Sequence[OutboxEntry]) -> None:
    """Queue what goes along with the first entry, in the same transaction."""
    leader = entries[0].message.message_id
    for part, entry in zip(parts, entries, strict=True):
        if part.reused is not None:
            # Its bytes must be here still: a rule may have dropped them since it was planned.
            sealed_bytes(transaction, part.reused.source)
        if entry is not entries[0] and outbox.add(transaction, entry) is not None:
            raise Rejected("key-conflict", f"The key {entry.key!r} was used before.", mend="Use a new key.")
        if entry is not entries[0] or part.document is not None:
            row = CompanionRow(
                message_id=entry.message.message_id, leader=leader, role=part.role, document=part.document
            )
            companions.add(transaction, row)


def _repeated(known: KnownKey, key: str, fingerprint: Sha256Hex) -> Submitted:
    if known.fingerprint != fingerprint:
        raise Rejected(
            "key-conflict",
            f"The key {key!r} was used before, for other content (message {known.message_id}).",
            mend="Use a new key for a new message; repeat a key only with the same content.",
        )
    return Submitted(known.message_id, repeated=True)
