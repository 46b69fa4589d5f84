"""Submitting: an envelope is judged, its attachments come, and one transaction makes it an accepted message.

Nothing is answered before that transaction, and what it names, is on the disk. What is refused leaves nothing.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import structlog

from hub.settings_exchange import ExchangeSettings
from hub.store import submissions
from hub.store.metadata import Transaction
from hub.store.submissions import SubmissionKey, Upload
from hub.usecases.acceptance import Acceptances, Accepted, Whole
from hub.usecases.intake import Intake
from hub.usecases.judgement import Broken, Judge, Judged, Refused, Repeated, Verdict
from hub.usecases.meters import Meters
from hub.usecases.rejections import Rejections
from hub.usecases.space import Room
from hub.usecases.uploads import Uploads
from runtime.blobs import BlobStore
from runtime.clock import Clock
from runtime.database import Database
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected, Unavailable
from transport.batches import BroughtSubmission

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Lacking:
    """An attachment that is still to be uploaded, from byte `offset` on."""

    upload: Upload
    offset: int


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A submission that waits for attachments."""

    message_id: Sha256Hex
    lacking: tuple[Lacking, ...]
    left_out: tuple[str, ...]


Submitted: TypeAlias = Accepted | Incomplete


class Submissions:
    """Takes submissions: `begin`, then an `intake` for what comes in the same body, then `end`."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        judge: Judge,
        uploads: Uploads,
        acceptances: Acceptances,
        *,
        room: Room,
        rejections: Rejections,
        meters: Meters,
        clock: Clock,
        settings: ExchangeSettings,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._judge = judge
        self._uploads = uploads
        self._acceptances = acceptances
        self._room = room
        self._rejections = rejections
        self._meters = meters
        self._clock = clock
        self._settings = settings.submissions

    async def begin(self, connection: str, data: bytes) -> Judged | Accepted:
        """Judge an envelope; one that was accepted before is answered with its stored acknowledgement.

        Raises:
            Rejected: a rule does not hold; with the hub's receipt of that, if the connection serves the sender. What
                was uploaded for the message is dropped.
            Unavailable: `storage-full`, `database-…`: the refusal cannot be kept now.
        """
        try:
            return await self._settled(await self._judge.judge(connection, data))
        except Rejected as error:
            self._meters.refused.labels(error.code).inc()
            raise

    async def submit_all(self, connection: str, brought: Sequence[BroughtSubmission]) -> list[Submitted | Exception]:
        """Take submissions that came together, whole or not; of each what `end` gives, or what any step of it raised.

        They are judged together, signed for together and committed together; none suffers for another.
        """
        verdicts = await self._judge.judge_all(connection, [each.envelope for each in brought])
        found = await asyncio.gather(
            *(self._found(verdict, each.attachments) for verdict, each in zip(verdicts, brought, strict=True))
        )
        accepted = iter(await self._acceptances.accept_all([each for each in found if isinstance(each, Whole)]))
        submitted = [next(accepted) if isinstance(each, Whole) else each for each in found]
        for each in submitted:
            if isinstance(each, Rejected):
                self._meters.refused.labels(each.code).inc()
        return submitted

    async def _found(self, verdict: Verdict | Exception, attachments: Sequence[bytes]) -> Whole | Submitted | Exception:
        try:
            if isinstance(verdict, Exception):
                raise verdict
            judged = await self._settled(verdict)
            if isinstance(judged, Accepted):
                return judged
            async with self.intake(judged) as intake:
                for content in attachments:
                    intake.take_short(content)
                return await self._gathered(judged, intake)
        except Exception as error:  # noqa: BLE001 - every error belongs to one submission; it is told as the problem of that
            return error

    async def _settled(self, verdict: Verdict) -> Judged | Accepted:
        match verdict:
            case Refused(key, reason, is_served):
                await self._drop(key)
                _log_refusal(key, reason)
                raise await self._rejections.attested(key, reason) if is_served else reason
            case Broken(key, reason):
                _log_refusal(key, reason)
                raise await self._rejections.attested(key, reason)
            case Repeated(key, acceptance):
                # A client that came too late may have begun to bring the attachments once more.
                await self._drop(key)
                return Accepted(key.message_id, acceptance.acknowledgement, acceptance.left_out, repeated=True)
            case Judged() as judged:
                return judged

    def intake(self, judged: Judged) -> Intake:
        """Takes the attachments that come with the envelope."""
        return Intake(judged.envelope.value, self._blobs, self._room)

    async def end(self, judged: Judged, intake: Intake) -> Submitted:
        """Accept the message if all its attachments are here, else say what is lacking.

        Raises:
            Rejected: `attachment-digest`: an upload was of other bytes; it is to be sent anew.
            Unavailable: `storage-full`, `too-many-requests`.
        """
        found = await self._gathered(judged, intake)
        if isinstance(found, Incomplete):
            return found
        (accepted,) = await self._acceptances.accept_all([found])
        if isinstance(accepted, Exception):
            raise accepted
        intake.keep(intake.files)
        return accepted

    async def _gathered(self, judged: Judged, intake: Intake) -> Whole | Incomplete:
        named = {size.digest: size.size for size in judged.envelope.value.extension.attachment_sizes}
        pinned = await self._pinned(judged.key) if len(intake.taken) < len(named) else {}
        here = {digest: upload for digest, upload in pinned.items() if upload.complete} | intake.taken
        if len(here) < len(named):
            return await self._wait(judged, named, pinned, intake)
        return Whole(judged, tuple([here[digest] for digest in named]))

    async def _pinned(self, key: SubmissionKey) -> dict[Sha256Hex, Upload]:
        pinned = await self._database.read(partial(submissions.pinned, key=key))
        return {digest: await self._uploads.settle(upload) for digest, upload in pinned.items()}

    async def _wait(
        self, judged: Judged, named: Mapping[Sha256Hex, int], pinned: Mapping[Sha256Hex, Upload], intake: Intake
    ) -> Incomplete:
        wanted = [
            intake.taken.get(digest) or pinned.get(digest) or _fresh(digest, size) for digest, size in named.items()
        ]
        waiting = await self._database.write(partial(self._pin, key=judged.key, wanted=wanted))
        if waiting is None:
            raise Unavailable(
                "too-many-requests",
                f"{self._settings.pending} submissions of this connection wait for their attachments already.",
                mend="Upload the attachments of those first; the submission is tried again by itself.",
            )
        files = {upload.file for upload in waiting.values()}
        intake.keep(files)
        await self._abandon(upload.file for upload in pinned.values() if upload.file not in files)
        log.info("submission.incomplete", message=judged.key.message_id, sender=judged.key.from_code)
        return Incomplete(
            judged.key.message_id,
            tuple([Lacking(each, await self._uploads.offset(each)) for each in waiting.values() if not each.complete]),
            judged.route.left_out,
        )

    def _pin(
        self, transaction: Transaction, key: SubmissionKey, wanted: Sequence[Upload]
    ) -> dict[Sha256Hex, Upload] | None:
        waiting = submissions.pin(transaction, key, wanted, most=self._settings.pending, at=self._clock())
        if waiting is not None:
            self._room.require_promises(transaction, key.connection)
        return waiting

    async def _drop(self, key: SubmissionKey) -> None:
        if await self._database.read(partial(submissions.pinned, key=key)):
            await self._abandon(await self._database.write(partial(submissions.drop, key=key)))

    async def _abandon(self, files: Iterable[str]) -> None:
        for file in files:
            await self._blobs.abandon(file)


def _log_refusal(key: SubmissionKey, reason: Rejected) -> None:
    log.info(
        "submission.refused",
        message=key.message_id,
        sender=key.from_code,
        rule=reason.code,
        element=reason.element,
    )


def _fresh(digest: Sha256Hex, size: int) -> Upload:
    upload = secrets.token_hex(16)
    return Upload(upload, digest, size, file=upload, complete=False, content=None)
