"""Submit once: seal, keep, queue; all of it durable before anyone is answered.

What goes into the seal comes from the key's row (`submission_id`, `created_at`), so that sealing the same row again
gives the same message id. The row, the sealed bytes and the short attachments commit in one transaction; long
attachments are durable before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import structlog

from adapters.sdk import Submission, Submitted
from certs.sealing import seal
from node.store import messages as message_store
from node.store import outbox
from node.store.messages import RecordedMessage
from node.store.metadata import Transaction
from node.store.outbox import KnownKey, OutboxEntry, Recipient
from node.usecases.about import spoken_of, status_recipients
from node.usecases.attachments import Attachments, KeptAttachment
from node.usecases.directory import DirectoryCopy
from node.usecases.identity import NodeIdentity
from node.usecases.lanes import LANES, lane_of
from node.usecases.recipients import resolved_recipients
from node.usecases.submission_ids import submission_id_of
from node.usecases.work import Work
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.codes import AgencyCode
from schemas.envelope import CONTENT_ID_PREFIX, AttachmentSize, Envelope, Extension, Sha256Hex
from schemas.errors import LimitExceeded, Rejected
from schemas.instants import instant_text
from schemas.limits import Limits
from schemas.message import Document, Message, Reference, TraceHeader
from schemas.times import TimestampText

log = structlog.get_logger()


class Submitter:
    """Takes messages for the outbox. Needs no hub, so it works in a command beside the daemon, or without one."""

    def __init__(
        self,
        database: Database,
        attachments: Attachments,
        directory: DirectoryCopy,
        identity: NodeIdentity,
        *,
        limits: Limits,
        clock: Clock,
        wakeups: Wakeups,
    ) -> None:
        self._database = database
        self._attachments = attachments
        self._directory = directory
        self._identity = identity
        self._limits = limits
        self._clock = clock
        self._wakeups = wakeups

    async def submit(
        self, adapter: str, submission: Submission, *, progress: Callable[[int], None] = lambda _bytes: None
    ) -> Submitted:
        """Seal and queue a message on behalf of `adapter`; see `adapters.sdk.Submission`.

        `progress` is told of the bytes of attachments as they are copied.

        Raises Rejected: `sender-not-served`, `recipient-unknown` (with a near code, if there is one),
        `recipient-suspended`, `recipient-retired`, `secrecy-forbidden`, `already-expired`, `key-conflict`,
        `document-unknown`, `about-not-allowed`, `attachment-too-large`, `too-many-attachments`, `file-missing`, and
        what the form of edXML refuses; Unavailable: `storage-full`, `directory-missing` (no version of the directory
        has come yet).
        """
        sender = (await self._directory.served(submission.message.sender.organ_id)).code
        known = await self._database.read(
            lambda transaction: outbox.known_key(transaction, adapter, sender, submission.key)
        )
        if known is not None:
            return _repeated(known, submission)
        self._require_admissible(submission)
        # Judged before attachments are copied, and again when all is at hand: the directory may change meanwhile.
        await self._addressed(submission, sender)
        kept = await self._kept(submission, progress)
        about, recipients, lane = await self._addressed(submission, sender)
        created_at, submission_id = self._clock(), submission_id_of(adapter, sender, submission.key)
        envelope = _envelope(submission, kept, about, created_at, submission_id)
        sealed = await asyncio.to_thread(seal, envelope, self._identity.seal, created_at)
        if len(sealed.data) > self._limits.envelope_bytes:
            raise LimitExceeded(
                "message-too-large",
                f"The envelope has {len(sealed.data)} bytes; {self._limits.envelope_bytes} are allowed.",
                mend="Send long content as an attachment.",
            )
        entry = OutboxEntry(
            message=RecordedMessage(
                message_id=sealed.message_id, envelope=envelope, data=sealed.data, sender=sender, lane=lane
            ),
            adapter=adapter,
            key=submission.key,
            fingerprint=submission.fingerprint,
            submission_id=submission_id,
            created_at=created_at,
            recipients=recipients,
        )
        return await self._queued(entry, kept, submission)

    async def _queued(self, entry: OutboxEntry, kept: list[KeptAttachment], submission: Submission) -> Submitted:
        small = {attachment.digest: attachment.content for attachment in kept if attachment.content is not None}

        def queue(transaction: Transaction) -> KnownKey | None:
            known = outbox.add(transaction, entry)
            if known is None:
                message_store.add_small_blobs(transaction, small)
            return known

        known = await self._database.write(queue)
        if known is not None:
            return _repeated(known, submission)
        self._wakeups.wake(Work.SENDING)
        log.info(
            "message.submitted",
            message=entry.message.message_id,
            sender=str(entry.message.sender),
            adapter=entry.adapter,
        )
        return Submitted(entry.message.message_id, repeated=False)

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
        if isinstance(message, Document) and len(message.recipients) > self._limits.recipients:
            raise LimitExceeded(
                "too-many-recipients",
                f"The message goes to {len(message.recipients)} agencies; {self._limits.recipients} are allowed.",
                mend="Send it in parts.",
            )

    async def _kept(self, submission: Submission, progress: Callable[[int], None]) -> list[KeptAttachment]:
        kept: list[KeptAttachment] = []
        left = self._limits.message_attachment_bytes
        for attachment in submission.attachments:
            limit = min(self._limits.attachment_bytes, left)
            kept.append(await self._attachments.keep(attachment.path, limit=limit, progress=progress))
            left -= kept[-1].size
        return kept

    async def _addressed(
        self, submission: Submission, sender: AgencyCode
    ) -> tuple[tuple[Sha256Hex, ...], tuple[Recipient, ...], int]:
        """What the message speaks of, whom it goes to, in which lane; as record and directory stand now."""
        message = submission.message

        def addressed(transaction: Transaction) -> tuple[tuple[Sha256Hex, ...], tuple[Recipient, ...], int]:
            about = spoken_of(transaction, message, sender, submission.about)
            if isinstance(message, Document):
                return about, resolved_recipients(transaction, message), lane_of(message.priority)
            lane = message_store.lane_of(transaction, about)
            return about, status_recipients(transaction, message, about[0]), LANES - 1 if lane is None else lane

        try:
            return await self._database.read(addressed)
        except Rejected as error:
            if error.code == "recipient-unknown":
                await self._suggest(message, error)
            raise

    async def _suggest(self, message: Message, error: Rejected) -> None:
        """Add to the error about an unknown recipient a code that looks like it."""
        for recipient in message.recipients if isinstance(message, Document) else ():
            if await self._directory.agency(recipient.organ_id) is None:
                near = await self._directory.near(recipient.organ_id)
                if near is not None:
                    error.mend = f"Did you mean {near}? Check the code in the directory."
                return


def _envelope(
    submission: Submission,
    kept: list[KeptAttachment],
    about: tuple[Sha256Hex, ...],
    created_at: datetime,
    submission_id: str,
) -> Envelope:
    message = submission.message
    if isinstance(message, Document):
        own_trace = TraceHeader(organ_id=message.sender.organ_id, timestamp=TimestampText.of(created_at))
        references = tuple(
            Reference(
                content_id=CONTENT_ID_PREFIX + bytes_kept.digest,
                content_type=attachment.content_type,
                attachment_name=attachment.name,
                description=attachment.description,
            )
            for attachment, bytes_kept in zip(submission.attachments, kept, strict=True)
        )
        message = replace(message, references=references, trace=message.trace or (own_trace,))
    sizes = {bytes_kept.digest: bytes_kept.size for bytes_kept in kept}
    extension = Extension(
        submission_id=submission_id,
        about=about,
        expires_at=submission.expires_at,
        attachment_sizes=tuple(AttachmentSize(digest, size) for digest, size in sizes.items()),
    )
    return Envelope(message, extension)


def _repeated(known: KnownKey, submission: Submission) -> Submitted:
    if known.fingerprint != submission.fingerprint:
        raise Rejected(
            "key-conflict",
            f"The key {submission.key!r} was used before, for other content (message {known.message_id}).",
            mend="Use a new key for a new message; repeat a key only with the same content.",
        )
    return Submitted(known.message_id, repeated=True)
