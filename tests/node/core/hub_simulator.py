"""A hub that speaks the real protocol over real TLS, keeps what it is told in memory, and fails as a test wants.

It judges no envelope: what a hub refuses, a test says. Receipts and the directory are really signed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from aiohttp import web
from aiohttp.typedefs import Handler

from certs.receipts import sign_receipts
from certs.sealing import SealingKey
from certs.tls import server_context
from certs.unsealing import open_seal
from schemas.codes import AgencyCode
from schemas.errors import CongvanError, Rejected
from schemas.receipts import Issuer, IssuerKind, Reason, Receipt, ReceiptEvent, SignedReceipt
from schemas.travel import parse_envelope, read_envelope
from tests.node.core.hub_parts import (
    BrokenOff,
    Faults,
    Submission,
    Waiting,
    break_off,
    json_answer,
    submission_in,
)
from tests.node.core.hub_replays import Remembered
from tests.node.core.world import HUB, World, digest_of
from transport import paths
from transport.batches import BroughtSubmission, read_batch
from transport.problems import problem_of
from transport.wire import (
    Acknowledgement,
    DirectoryAnswer,
    EnvelopeEntry,
    ItemResult,
    MailboxAnswer,
    MessageTrace,
    OutcomeKind,
    OutcomeResult,
    OutcomesAnswer,
    OutcomesRequest,
    ReceiptEntry,
    ReceiptRef,
    SubmissionAnswer,
    SubmissionResult,
    SubmissionsAnswer,
    SubmissionState,
    UploadNeeded,
    decode,
)


class HubSimulator:
    def __init__(self, world: World) -> None:
        self.world = world
        self.faults = Faults()
        self.epoch = "epoch-1"
        #: How long each poll of the mailbox offered to wait; none is answered while `mailbox_opens` is not set.
        self.polls: list[float] = []
        self.express_polls = 0
        self.mailbox_opens = asyncio.Event()
        self.mailbox_opens.set()
        #: No report is answered while it is not set.
        self.reports_open = asyncio.Event()
        self.reports_open.set()
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.accepted: dict[str, Submission] = {}
        self.order: list[str] = []
        self.tries: list[str] = []
        self.brought_along: list[int] = []
        #: How many submissions came together in each request of that form.
        self.batches: list[int] = []
        self.uploaded: list[tuple[int, int]] = []
        self.blob_reads: list[tuple[int, str]] = []
        self.reports: list[OutcomesRequest] = []
        self.mailbox: dict[int, Waiting] = {}
        self.connections: set[object] = set()
        self.lease_seconds = 30.0
        self.traces: dict[str, MessageTrace] = {}
        self._acknowledgements: dict[str, SignedReceipt] = {}
        self._pending: dict[str, Submission] = {}
        self._uploads: dict[str, tuple[str, str]] = {}
        self._blobs: dict[str, bytes] = {}
        self.purged_blobs: set[str] = set()
        self.remembered = Remembered(self.accepted, self._acknowledgements)
        self._entries = itertools.count(1)
        self._news = asyncio.Event()
        self.url = ""

    # What a test does

    def receipt(
        self,
        event: ReceiptEvent,
        message_id: str,
        sender: AgencyCode,
        *,
        at: datetime | None = None,
        directory_version: int | None = None,
        reason: Reason | None = None,
        key: SealingKey | None = None,
    ) -> SignedReceipt:
        receipt = Receipt(
            receipt_id=secrets.token_hex(8),
            event=event,
            issuer=Issuer(IssuerKind.HUB, HUB),
            message_id=message_id,
            sender=sender,
            occurred_at=at or self.clock(),
            reason=reason,
            directory_version=directory_version or len(self.world.versions),
        )
        (signed,) = sign_receipts([receipt], key or self.world.receipts_key, issued_at=receipt.occurred_at)
        return signed

    def deliver(
        self,
        data: bytes,
        recipients: Sequence[AgencyCode],
        attachments: Sequence[bytes] = (),
        *,
        inline: bool = True,
        message_id: str | None = None,
        acceptance: SignedReceipt | None = None,
        attested: Sequence[SignedReceipt] = (),
        express: bool = False,
    ) -> int:
        """Put an envelope into the node's mailbox; gives the entry's number. `attested` come along."""
        opened = open_seal(data) if message_id is None else None
        name = message_id or (opened.message_id if opened else "")
        sender = opened.sender if opened else AgencyCode("G22")
        signed = acceptance or self.receipt(ReceiptEvent.SUBMISSION_ACCEPTANCE, name, sender)
        self._blobs.update({digest_of(content): content for content in attachments})
        entry = EnvelopeEntry(
            entry=next(self._entries),
            lease="none",
            leased_until=self.clock(),
            message_id=name,
            recipients=tuple(code.value for code in recipients),
            accepted_at=self.clock(),
            acceptance=ReceiptRef(receipt=signed.receipt, proof=digest_of(signed.proof)),
            envelope=data,
            attachments={digest_of(content): content for content in attachments} if inline else {},
            receipts=tuple(ReceiptRef(receipt=each.receipt, proof=digest_of(each.proof)) for each in attested),
        )
        proofs = {digest_of(each.proof): each.proof for each in (signed, *attested)}
        self._put(Waiting(entry, proofs, express=express))
        return entry.entry

    def deliver_receipt(self, signed: SignedReceipt) -> int:
        entry = ReceiptEntry(
            entry=next(self._entries),
            lease="none",
            leased_until=self.clock(),
            receipt=ReceiptRef(receipt=signed.receipt, proof=digest_of(signed.proof)),
        )
        self._put(Waiting(entry, {digest_of(signed.proof): signed.proof}))
        return entry.entry

    def offer_again(self, number: int) -> None:
        """Let the lease of an entry lapse."""
        self.mailbox[number].leased_until = None
        self._news.set()

    def outcomes(self, kind: OutcomeKind) -> list[int]:
        """The entries of which that outcome was reported, in order."""
        return [outcome.entry for request in self.reports for outcome in request.outcomes if outcome.outcome is kind]

    def receipts_reported(self) -> list[SignedReceipt]:
        """Every receipt that the node sent, with its proof."""
        return [
            SignedReceipt(ref.receipt, request.proofs[ref.proof])
            for request in self.reports
            for ref in (*(ref for outcome in request.outcomes for ref in outcome.receipts), *request.receipts)
        ]

    def sent(self, message_id: str) -> Submission:
        return self.accepted[message_id]

    def _put(self, waiting: Waiting) -> None:
        self.mailbox[waiting.entry.entry] = waiting
        self._news.set()

    # What a node asks

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[HubSimulator]:
        application = web.Application(middlewares=[self._faulty], client_max_size=64 * 1024 * 1024)
        application.add_routes([
            web.post(paths.ENVELOPES, self._submit),
            web.head(f"{paths.UPLOADS}/{{id}}", self._upload_offset),
            web.patch(f"{paths.UPLOADS}/{{id}}", self._upload),
            web.get(paths.MAILBOX, self._mailbox),
            web.get(f"{paths.BLOBS}/{{digest}}", self._blob, allow_head=False),
            web.post(paths.RECEIPTS, self._report),
            web.get(paths.DIRECTORY, self._directory),
            web.get(f"{paths.MESSAGES}/{{id}}", self._trace),
            *self.remembered.routes(),
        ])  # fmt: skip
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        folder = self.world.folder
        tls = server_context(folder / "server.pem", folder / "server.key", None, [self.world.authority.root])
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        self.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    @web.middleware
    async def _faulty(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.transport is not None:
            self.connections.add(request.transport.get_extra_info("peername"))
        try:
            if self.faults.down:
                break_off(request)
            return await handler(request)
        except BrokenOff:
            return web.Response()
        except CongvanError as error:
            problem = problem_of(error)
            headers = {}
            if getattr(error, "retry_after", None):
                headers["Retry-After"] = f"{error.retry_after:.0f}"  # type: ignore[attr-defined]  # seen above
            return web.Response(
                status=problem.status,
                text=problem.model_dump_json(),
                content_type=paths.PROBLEM_TYPE,
                headers=headers,
            )

    async def _submit(self, request: web.Request) -> web.Response:
        if request.content_type == paths.BATCH_TYPE:
            return await self._submit_all(read_batch(await request.read()))
        answer = await self._taken(*await submission_in(request))
        return json_answer(answer, 202 if answer.state is SubmissionState.INCOMPLETE else 201)

    async def _submit_all(self, brought: Sequence[BroughtSubmission]) -> web.Response:
        self.batches.append(len(brought))
        proofs: dict[str, bytes] = {}

        async def result(each: BroughtSubmission) -> SubmissionResult:
            try:
                answer = await self._taken(each.envelope, {digest_of(content): content for content in each.attachments})
            except CongvanError as error:
                return SubmissionResult(problem=problem_of(error), retry_after=getattr(error, "retry_after", None))
            if answer.acknowledgement is None:
                return SubmissionResult(answer=answer)
            proof = answer.acknowledgement.proof
            proofs[digest_of(proof)] = proof
            named = ReceiptRef(receipt=answer.acknowledgement.receipt, proof=digest_of(proof))
            return SubmissionResult(answer=answer.model_copy(update={"acknowledgement": None}), acknowledgement=named)

        results = await asyncio.gather(*map(result, brought))
        return json_answer(SubmissionsAnswer(results=tuple(results), proofs=proofs), 200)

    async def _taken(self, data: bytes, attachments: Mapping[str, bytes]) -> SubmissionAnswer:
        opened = open_seal(data)
        name = opened.message_id
        self.tries.append(name)
        self.brought_along.append(len(attachments))
        envelope = read_envelope(parse_envelope(data))
        while self.faults.hold(envelope):  # noqa: ASYNC110 - a test changes its mind by setting a function
            await asyncio.sleep(0.01)
        error = self.faults.refuse(name)
        if error is not None:
            raise error
        if name not in self.accepted:
            sizes = envelope.extension.attachment_sizes
            pending = self._pending.setdefault(
                name, Submission(data, {attachment.digest: attachment.size for attachment in sizes})
            )
            pending.brought.update(attachments)
            needed = [self._needed(name, digest) for digest in pending.wanted if not self._is_whole(pending, digest)]
            if needed:
                return SubmissionAnswer(
                    state=SubmissionState.INCOMPLETE, message_id=name, epoch=self.epoch, uploads=tuple(needed)
                )
            for digest, content in pending.brought.items():
                assert digest_of(content) == digest
            self.accepted[name] = self._pending.pop(name)
            self.order.append(name)
            self._acknowledgements[name] = self.receipt(ReceiptEvent.SUBMISSION_ACCEPTANCE, name, opened.sender)
        signed = self._acknowledgements[name]
        if self.faults.acknowledge_with is not None or self.faults.acknowledge_other is not None:
            signed = self.receipt(
                ReceiptEvent.SUBMISSION_ACCEPTANCE,
                self.faults.acknowledge_other or name,
                opened.sender,
                key=self.faults.acknowledge_with,
            )
        return SubmissionAnswer(
            state=SubmissionState.ACCEPTED,
            message_id=name,
            epoch=self.epoch,
            acknowledgement=Acknowledgement(receipt=signed.receipt, proof=signed.proof),
        )

    def _is_whole(self, pending: Submission, digest: str) -> bool:
        return digest in pending.brought and len(pending.brought[digest]) == pending.wanted[digest]

    def _needed(self, name: str, digest: str) -> UploadNeeded:
        pending = self._pending[name]
        upload = next((key for key, value in self._uploads.items() if value == (name, digest)), None)
        if upload is None:
            upload = secrets.token_hex(8)
            self._uploads[upload] = (name, digest)
        return UploadNeeded(
            digest=digest,
            size=pending.wanted[digest],
            offset=len(pending.brought.get(digest, b"")),
            location=f"{paths.UPLOADS}/{upload}",
        )

    def _upload_state(self, request: web.Request) -> tuple[Submission, str]:
        if request.match_info["id"] not in self._uploads:
            raise Rejected("upload-unknown", "There is no such upload.")
        name, digest = self._uploads[request.match_info["id"]]
        return self._pending[name], digest

    async def _upload_offset(self, request: web.Request) -> web.Response:
        pending, digest = self._upload_state(request)
        return web.Response(headers={"Upload-Offset": str(len(pending.brought.get(digest, b"")))})

    async def _upload(self, request: web.Request) -> web.Response:
        pending, digest = self._upload_state(request)
        here = pending.brought.setdefault(digest, b"")
        offset = int(request.headers["Upload-Offset"])
        if offset != len(here):
            raise Rejected("upload-offset", f"The upload stands at {len(here)}.")
        async for chunk in request.content.iter_any():
            here += chunk
            if self.faults.cut_uploads_at and len(here) >= self.faults.cut_uploads_at[0]:
                here = here[: self.faults.cut_uploads_at.pop(0)]
                pending.brought[digest] = here
                self.uploaded.append((offset, len(here)))
                break_off(request)
            pending.brought[digest] = here
        self.uploaded.append((offset, len(here)))
        return web.Response(status=204, headers={"Upload-Offset": str(len(here))})

    async def _trace(self, request: web.Request) -> web.Response:
        if request.match_info["id"] in self.accepted:
            return json_answer(self.remembered.trace(request.match_info["id"]))
        if request.match_info["id"] not in self.traces:
            raise Rejected("message-unknown", "There is no such message.")
        return json_answer(self.traces[request.match_info["id"]])

    async def _mailbox(self, request: web.Request) -> web.Response:
        self.polls.append(float(request.query["wait"]))
        express = request.query.get("express") == "1"
        self.express_polls += express
        await self.mailbox_opens.wait()
        ends_at = asyncio.get_running_loop().time() + float(request.query["wait"])
        limit = int(request.query["limit"])
        while True:
            self._news.clear()
            if request.transport is None or request.transport.is_closing():
                # Nobody listens any more: what is leased now would lie until the lease lapses.
                return web.Response()
            offered = [waiting for waiting in self.mailbox.values() if waiting.express or not express]
            leased = [waiting for waiting in offered if waiting.leased_until is None][:limit]
            left = ends_at - asyncio.get_running_loop().time()
            if leased or left <= 0:
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left)
        until = self.clock() + timedelta(seconds=self.lease_seconds)
        entries, proofs = [], {}
        for waiting in leased:
            waiting.leased_until = until
            waiting.entry = waiting.entry.model_copy(update={"lease": secrets.token_hex(4), "leased_until": until})
            entries.append(waiting.entry)
            proofs.update(waiting.proofs)
        return json_answer(
            MailboxAnswer(
                epoch=self.epoch,
                hub_time=self.clock(),
                directory_version=len(self.world.versions),
                reported=self.remembered.reported,
                newest_sent=self.remembered.newest_sent,
                entries=tuple(entries),
                proofs=proofs,
            )
        )

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        digest = request.match_info["digest"]
        if digest in self.purged_blobs:
            raise Rejected("payload-purged", "The attachment was dropped by the retention rule.")
        own = {name: content for sent in self.accepted.values() for name, content in sent.brought.items()}
        content = self.faults.wrong_blobs.get(digest) or (own | self._blobs)[digest]
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.blob_reads.append((start, request.headers.get(paths.LEASE_HEADER, "")))
        response = web.StreamResponse(
            status=206 if start else 200, headers={"Content-Length": str(len(content) - start)}
        )
        await response.prepare(request)
        while digest in self.faults.hold_blobs:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        if self.faults.cut_blobs_at:
            cut = self.faults.cut_blobs_at.pop(0)
            await response.write(content[start:cut])
            if self.faults.before_cut is not None:
                await self.faults.before_cut(cut)
            break_off(request)
        for at in range(start, len(content), 65536):
            await response.write(content[at : at + 65536])
            await asyncio.sleep(self.faults.slow_blobs)
        return response

    async def _report(self, request: web.Request) -> web.Response:
        report = decode(OutcomesRequest, await request.read())
        error = self.faults.refuse_report(report)
        if error is not None:
            raise error
        await self.reports_open.wait()
        self.reports.append(report)
        results = []
        for outcome in report.outcomes:
            waiting = self.mailbox.get(outcome.entry)
            if waiting is None:
                results.append(ItemResult(result=OutcomeResult.REPEATED))
                continue
            if outcome.outcome is not OutcomeKind.RELEASED:
                del self.mailbox[outcome.entry]
            results.append(ItemResult(result=OutcomeResult.RECORDED))
        receipts = tuple(ItemResult(result=OutcomeResult.RECORDED) for _ in report.receipts)
        return json_answer(OutcomesAnswer(outcomes=tuple(results), receipts=receipts))

    async def _directory(self, request: web.Request) -> web.Response:
        since = int(request.query["since"])
        # Two at a time: a node must ask again until it has all.
        versions = () if self.faults.no_versions else tuple(self.world.versions[since : since + 2])
        return json_answer(DirectoryAnswer(latest=len(self.world.versions), epoch=self.epoch, versions=versions))
