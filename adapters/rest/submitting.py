"""What every way of sending shares: a form read into the spool, the document made of it, and who answers for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from adapters.composing import compose_document, only_served
from adapters.rest.operations import Answer, Call, Words, json_answer
from adapters.rest.parcels import Form, read_form, spooling
from adapters.rest.shapes import OverrideRequest, Submission
from adapters.rest.tokens import Scope
from adapters.sdk import NodeApi, Override, SentDocument, Submitted
from adapters.sdk import Submission as NodeSubmission
from adapters.spool import Spool
from runtime.clock import Clock
from schemas.codes import AgencyCode
from schemas.envelope import Selector, Sha256Hex
from schemas.errors import Rejected
from schemas.limits import Limits
from schemas.metadata import expiry_from_metadata, selectors_from_metadata, sender_from_metadata

log = structlog.get_logger()

SENDING: Final = Words("Gửi văn bản", "Sending")
SUBMITTED: Final = {
    201: Answer(
        words=Words("Nút đã nhận và sẽ gửi", "The node has it durably and sends it"),
        shape=Submission,
        headers={"Location": Words("Nơi theo dõi văn bản", "Where to follow it")},
    ),
    200: Answer(words=Words("Đã nhận từ trước", "It was submitted before under this key"), shape=Submission),
}
PROBLEMS: Final = (409, 413, 415, 422, 507)
FORM: Final = (
    "The part `metadata` is a JSON object with the keys of document metadata (docs/adapters/filedrop.md, Sending); "
    "each part `file`, with a filename, is an attachment. The part `override`, where a person answers for a mark of "
    "secrecy that a guard would refuse, needs the scope `override` too. The same Idempotency-Key with the same content "
    "sends once; with other content it is a conflict (`key-conflict`)."
)


class Submitting:
    """Sends what requests bring. `uploads` is how many of them may bring bytes at once."""

    def __init__(self, node: NodeApi, *, spool: Path, limits: Limits, uploads: int, clock: Clock) -> None:
        self.node = node
        self.limits = limits
        self._spool = spool
        self._places = asyncio.Semaphore(uploads)
        self._clock = clock

    @contextlib.asynccontextmanager
    async def spool(self) -> AsyncIterator[Spool]:
        """A folder for the bytes of one request, when its turn has come."""
        async with self._places, spooling(self._spool) as spool:
            yield spool

    async def form(self, call: Call, spool: Spool) -> Form:
        return await read_form(call, spool, self.limits)

    async def send(
        self,
        call: Call,
        key: str,
        form: Form,
        metadata: Mapping[str, object],
        about: SentDocument | None = None,
    ) -> web.Response:
        """Submit the document that `metadata` and the form's files make."""
        now = self._clock()
        written = sender_from_metadata(metadata)
        sender = call.granted(written.organ_id if written else _only(call, self.node))
        selectors: tuple[Selector, ...] = selectors_from_metadata(metadata)
        document = await compose_document(self.node, metadata, form.facts, now=now, sender=sender, selectors=selectors)
        submission = NodeSubmission(
            key=key,
            fingerprint=form.digest,
            message=document,
            attachments=form.attachments,
            about=(about.message_id,) if about else (),
            override=override_of(call, form.override),
            expires_at=expiry_from_metadata(metadata, now),
            selectors=selectors,
        )
        return submitted_answer(await self.node.submit(submission))

    async def known(self, call: Call, message_id: Sha256Hex) -> SentDocument:
        """A document that was sent from here by an agency of the bearer's; raises Rejected: `document-not-sent`."""
        found = await self.node.sent(message_id=message_id, limit=1)
        if not found or not call.grant.covers(found[0].sender):
            raise Rejected(
                "document-not-sent",
                f"No document {message_id} was sent from here.",
                mend="Give the message_id that its submission was answered with.",
            )
        return found[0]


def override_of(call: Call, said: OverrideRequest | None) -> Override | None:
    """Who answers for what the guards would refuse; raises Rejected: `scope-missing`."""
    if said is None:
        return None
    call.require(Scope.OVERRIDE)
    # The node keeps who and why with the document; by which token they came stands here.
    log.warning("rest.override", token=call.grant.name, key=call.key, by=said.by, reason=said.reason)
    return Override(by=said.by.strip(), reason=said.reason.strip())


def submitted_answer(submitted: Submitted) -> web.Response:
    return json_answer(
        Submission(message_id=submitted.message_id, repeated=submitted.repeated),
        status=200 if submitted.repeated else 201,
        headers={} if submitted.repeated else {"Location": f"/v1/documents/{submitted.message_id}"},
    )


def _only(call: Call, node: NodeApi) -> AgencyCode:
    """The one agency that the bearer may send for."""
    codes = call.grant.covered(node.served_codes)
    return codes[0] if len(codes) == 1 else only_served(node)
