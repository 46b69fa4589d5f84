"""`POST /v1/envelopes`: an envelope alone, as multipart with attachments behind it, or several that are whole."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from aiohttp import BodyPartReader, MultipartReader, web

from hub.http.bodies import gathered, multipart_errors, next_part, pieces_of, pieces_of_part, read_within
from hub.http.peer import peer_of
from hub.http.problems import result_problem
from hub.settings_exchange import SubmissionSettings
from hub.usecases.acceptance import Accepted
from hub.usecases.judgement import too_large
from hub.usecases.places import Places
from hub.usecases.submit import Incomplete, Submissions, Submitted
from schemas.envelope import is_sha256_hex
from schemas.errors import LimitExceeded, Rejected
from transport import paths
from transport.batches import BATCH_BYTES, read_batch
from transport.wire import (
    Acknowledgement,
    ReceiptRef,
    SubmissionAnswer,
    SubmissionResult,
    SubmissionsAnswer,
    SubmissionState,
    UploadNeeded,
)

_XML_TYPES = frozenset({paths.ENVELOPE_TYPE, "text/xml"})


@dataclass(frozen=True, slots=True)
class EnvelopeCalls:
    """Answers the call of this module; `epoch` is that of the hub's store."""

    submissions: Submissions
    settings: SubmissionSettings
    epoch: str
    places: Places

    async def submit(self, request: web.Request) -> web.Response:
        peer = peer_of(request)
        with self.places.take(peer.connection):
            if request.content_type in _XML_TYPES:
                data = await self._envelope(pieces_of(request, silence=self.settings.silence_seconds))
                return self._answer(await self._submit(peer.connection, data, None))
            if request.content_type == paths.BATCH_TYPE:
                pieces = pieces_of(request, silence=self.settings.silence_seconds)
                return await self._submit_all(request.path, peer.connection, pieces)
            if request.content_type.startswith("multipart/"):
                with multipart_errors():
                    parts = await request.multipart()
                data = await self._envelope(await self._first(parts))
                return self._answer(await self._submit(peer.connection, data, parts))
        raise Rejected(
            "media-type",
            f"{request.content_type} is no form of a submission.",
            mend="Send the envelope as application/xml, or in multipart/form-data.",
        )

    async def _submit(self, connection: str, data: bytes, parts: MultipartReader | None) -> Submitted:
        judged = await self.submissions.begin(connection, data)
        if isinstance(judged, Accepted):
            return judged
        async with self.submissions.intake(judged) as intake:
            while parts is not None and (part := await self._next(parts)) is not None:
                digest = (part.name or "").removeprefix(paths.ATTACHMENT_PART_PREFIX)
                if part.name != paths.ATTACHMENT_PART_PREFIX + digest or not is_sha256_hex(digest):
                    raise _misnamed(part)
                await intake.take(digest, gathered(pieces_of_part(part, silence=self.settings.silence_seconds)))
            return await self.submissions.end(judged, intake)

    async def _submit_all(self, path: str, connection: str, pieces: AsyncIterator[bytes]) -> web.Response:
        brought = read_batch(await read_within(pieces, BATCH_BYTES, _batch_too_large))
        submitted = await self.submissions.submit_all(connection, brought)
        names: dict[bytes, str] = {}
        results = tuple(self._result(path, each, names) for each in submitted)
        answer = SubmissionsAnswer(results=results, proofs={name: proof for proof, name in names.items()})
        return web.Response(body=answer.encode(), content_type=paths.JSON_TYPE)

    def _result(self, path: str, submitted: Submitted | Exception, names: dict[bytes, str]) -> SubmissionResult:
        """One of several; those that were signed for together name one proof, by its digest in `names`."""
        if isinstance(submitted, Exception):
            problem, wait = result_problem(path, submitted)
            return SubmissionResult(problem=problem, retry_after=wait)
        answer = self._answer_of(submitted)
        if answer.acknowledgement is None:
            return SubmissionResult(answer=answer)
        proof = answer.acknowledgement.proof
        if proof not in names:
            names[proof] = hashlib.sha256(proof).hexdigest()
        return SubmissionResult(
            answer=answer.model_copy(update={"acknowledgement": None}),
            acknowledgement=ReceiptRef(receipt=answer.acknowledgement.receipt, proof=names[proof]),
        )

    async def _envelope(self, pieces: AsyncIterator[bytes]) -> bytes:
        limit = self.settings.envelope_bytes
        return await read_within(pieces, limit, partial(too_large, limit))

    async def _next(self, parts: MultipartReader) -> BodyPartReader | None:
        return await next_part(parts, silence=self.settings.silence_seconds)

    async def _first(self, parts: MultipartReader) -> AsyncIterator[bytes]:
        part = await self._next(parts)
        if part is None or part.name != paths.ENVELOPE_PART:
            raise _misnamed(part)
        return pieces_of_part(part, silence=self.settings.silence_seconds)

    def _answer(self, submitted: Submitted) -> web.Response:
        status = 202 if isinstance(submitted, Incomplete) else 200 if submitted.repeated else 201
        body = self._answer_of(submitted).encode()
        return web.Response(body=body, status=status, content_type=paths.JSON_TYPE)

    def _answer_of(self, submitted: Submitted) -> SubmissionAnswer:
        match submitted:
            case Accepted(message_id, acknowledgement, left_out):
                return SubmissionAnswer(
                    state=SubmissionState.ACCEPTED,
                    message_id=message_id,
                    epoch=self.epoch,
                    acknowledgement=Acknowledgement(receipt=acknowledgement.receipt, proof=acknowledgement.proof),
                    left_out=left_out,
                )
            case Incomplete(message_id, lacking, left_out):
                return SubmissionAnswer(
                    state=SubmissionState.INCOMPLETE,
                    message_id=message_id,
                    epoch=self.epoch,
                    uploads=tuple(
                        UploadNeeded(
                            digest=each.upload.digest,
                            size=each.upload.size,
                            offset=each.offset,
                            location=f"{paths.UPLOADS}/{each.upload.upload}",
                        )
                        for each in lacking
                    ),
                    left_out=left_out,
                )


def envelope_routes(submissions: Submissions, settings: SubmissionSettings, epoch: str) -> list[web.RouteDef]:
    """The routes of this module."""
    calls = EnvelopeCalls(submissions, settings, epoch, Places(settings.parallel, "submissions"))
    return [web.post(paths.ENVELOPES, calls.submit)]


def _batch_too_large() -> LimitExceeded:
    return LimitExceeded(
        "too-large",
        f"Submissions that come together have {BATCH_BYTES} bytes at most.",
        mend="Bring fewer at a time; what is larger by itself goes alone.",
    )


def _misnamed(part: BodyPartReader | None) -> Rejected:
    return Rejected(
        "request-malformed",
        f"The part {(part.name or '') if part else ''!r} stands where none of that name belongs.",
        mend="Send the part `envelope` first, then a part `sha256-<64 hex>` for each attachment.",
    )
