"""Sending: documents and classic files in, and where they stand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

from aiohttp import web
from pydantic import Field

from adapters.composing import compose_document, only_served
from adapters.message_json import Code, DocumentCodeJson
from adapters.rest.operations import Answer, Call, Operation, Query, Words, json_answer
from adapters.rest.parcels import Form, read_classic_body, read_form, spooling
from adapters.rest.shapes import SentDocumentJson, SentList, SentRecipientJson, Submission
from adapters.rest.tokens import Scope
from adapters.sdk import NodeApi, SentDocument, Submitted
from adapters.sdk import Submission as NodeSubmission
from runtime.clock import Clock
from schemas.codes import AgencyCode
from schemas.envelope import Selector, Sha256Hex
from schemas.errors import Rejected
from schemas.limits import Limits
from schemas.message import BusinessType
from schemas.metadata import expiry_from_metadata, selectors_from_metadata, sender_from_metadata
from schemas.recipients import parse_selector

SENDING: Final = Words("Gửi văn bản", "Sending")

_SUBMITTED: Final = {
    201: Answer(
        words=Words("Nút đã nhận và sẽ gửi", "The node has it durably and sends it"),
        shape=Submission,
        headers={"Location": Words("Nơi theo dõi văn bản", "Where to follow it")},
    ),
    200: Answer(words=Words("Đã nhận từ trước", "It was submitted before under this key"), shape=Submission),
}
_PROBLEMS: Final = (409, 413, 415, 422, 507)
_FORM: Final = (
    "The part `metadata` is a JSON object with the keys of document metadata (docs/adapters/filedrop.md, Sending); "
    "each part `file`, with a filename, is an attachment. The same Idempotency-Key with the same content sends once; "
    "with other content it is a conflict (`key-conflict`)."
)


class ClassicQuery(Query):
    to: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    """Recipients by rule, beside those that the file names: `H23.*`, `@so-tu-phap`. Give it once for each."""


class SentQuery(Query):
    sender: Annotated[tuple[Code, ...], Field(max_length=1000)] = ()
    """Only documents of these agencies of the node. Give it once for each."""
    document_id: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    """Only documents with this DocumentId."""
    after: Annotated[str, Field(max_length=200)] = ""
    """Go on behind a list: its `next`."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class Documents:
    """What the software sends. `uploads` is how many requests may bring bytes at once."""

    def __init__(self, node: NodeApi, *, spool: Path, limits: Limits, uploads: int, clock: Clock) -> None:
        self._node = node
        self._spool = spool
        self._limits = limits
        self._places = asyncio.Semaphore(uploads)
        self._clock = clock

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                name="submitDocument",
                method="POST",
                path="/v1/documents",
                tag=SENDING,
                scope=Scope.SUBMIT,
                words=Words("Gửi một văn bản", "Send a document"),
                detail=_FORM,
                multipart=True,
                keyed=True,
                answers=_SUBMITTED,
                problems=_PROBLEMS,
                run=self.submit,
            ),
            Operation(
                name="submitClassic",
                method="POST",
                path="/v1/edxml",
                tag=SENDING,
                scope=Scope.SUBMIT,
                words=Words(
                    "Gửi một gói edXML (văn bản hoặc trạng thái)", "Send a classic edXML file, a document or a status"
                ),
                query=ClassicQuery,
                media="application/xml",
                keyed=True,
                answers=_SUBMITTED,
                problems=_PROBLEMS,
                run=self.submit_classic,
            ),
            *(
                Operation(
                    name=f"{verb}Document",
                    method="POST",
                    path=f"/v1/documents/{{message_id}}/{verb}",
                    tag=SENDING,
                    scope=Scope.SUBMIT,
                    words=words,
                    detail=f"{_FORM} The `business` of the metadata needs a `reason` alone; without `to` it goes to "
                    "whom the document went, and `from` is its sender.",
                    multipart=True,
                    keyed=True,
                    answers=_SUBMITTED,
                    problems=(404, *_PROBLEMS),
                    run=run,
                )
                for verb, words, run in (
                    ("recall", Words("Thu hồi văn bản đã gửi", "Recall a document"), self.recall),
                    ("update", Words("Cập nhật văn bản đã gửi", "Update a document"), self.update),
                    ("replace", Words("Thay thế văn bản đã gửi", "Replace a document"), self.replace),
                )
            ),
            Operation(
                name="listSent",
                method="GET",
                path="/v1/documents",
                tag=SENDING,
                scope=Scope.SENT,
                words=Words("Danh sách văn bản đã gửi", "Documents sent, with each recipient's standing"),
                query=SentQuery,
                answers={200: Answer(words=Words("Danh sách", "The list"), shape=SentList)},
                problems=(422,),
                run=self.list,
            ),
            Operation(
                name="getSent",
                method="GET",
                path="/v1/documents/{message_id}",
                tag=SENDING,
                scope=Scope.SENT,
                words=Words("Tình trạng một văn bản đã gửi", "Where a document stands"),
                answers={200: Answer(words=Words("Văn bản", "The document"), shape=SentDocumentJson)},
                problems=(404,),
                run=self.one,
            ),
        )

    async def submit(self, call: Call) -> web.Response:
        key = call.key
        async with self._places, spooling(self._spool) as spool:
            form = await read_form(call, spool, self._limits)
            return _answer(await self._send(call, key, form, form.metadata))

    async def recall(self, call: Call) -> web.Response:
        return await self._amend(call, BusinessType.RECALL)

    async def update(self, call: Call) -> web.Response:
        return await self._amend(call, BusinessType.UPDATE)

    async def replace(self, call: Call) -> web.Response:
        return await self._amend(call, BusinessType.REPLACE)

    async def submit_classic(self, call: Call) -> web.Response:
        key = call.key
        selectors = tuple(dict.fromkeys(map(parse_selector, call.query(ClassicQuery).to)))
        async with self._places, spooling(self._spool) as spool:
            digest, classic = await read_classic_body(call, spool, self._limits)
            call.granted(classic.message.sender.organ_id)
            return _answer(
                await self._node.submit(
                    NodeSubmission(
                        key=key,
                        fingerprint=digest,
                        message=classic.message,
                        attachments=classic.attachments,
                        selectors=selectors,
                    )
                )
            )

    async def list(self, call: Call) -> web.Response:
        query = call.query(SentQuery)
        asked = tuple(map(AgencyCode.parse, query.sender)) or tuple(self._node.served_codes)
        senders = call.grant.covered(asked)
        found: Sequence[SentDocument] = ()
        if senders:
            found = await self._node.sent(
                senders=senders, document_id=query.document_id, after=query.after, limit=query.limit
            )
        following = found[-1].cursor if len(found) == query.limit else None
        return json_answer(SentList(documents=tuple(map(_sent, found)), next=following))

    async def one(self, call: Call) -> web.Response:
        return json_answer(_sent(await self._known(call, call.message_id())))

    async def _known(self, call: Call, message_id: Sha256Hex) -> SentDocument:
        found = await self._node.sent(message_id=message_id, limit=1)
        if not found or not call.grant.covers(found[0].sender):
            raise Rejected(
                "document-not-sent",
                f"No document {message_id} was sent from here.",
                mend="Give the message_id that its submission was answered with.",
            )
        return found[0]

    async def _amend(self, call: Call, business: BusinessType) -> web.Response:
        key = call.key
        original = await self._known(call, call.message_id())
        async with self._places, spooling(self._spool) as spool:
            form = await read_form(call, spool, self._limits)
            metadata = _amending(form.metadata, business, original)
            return _answer(await self._send(call, key, form, metadata, about=original))

    async def _send(
        self,
        call: Call,
        key: str,
        form: Form,
        metadata: Mapping[str, object],
        about: SentDocument | None = None,
    ) -> Submitted:
        now = self._clock()
        written = sender_from_metadata(metadata)
        sender = call.granted(written.organ_id if written else _only(call, self._node))
        selectors: tuple[Selector, ...] = selectors_from_metadata(metadata)
        document = await compose_document(self._node, metadata, form.facts, now=now, sender=sender, selectors=selectors)
        return await self._node.submit(
            NodeSubmission(
                key=key,
                fingerprint=form.digest,
                message=document,
                attachments=form.attachments,
                about=(about.message_id,) if about else (),
                expires_at=expiry_from_metadata(metadata, now),
                selectors=selectors,
            )
        )


def _only(call: Call, node: NodeApi) -> AgencyCode:
    """The one agency that the bearer may send for."""
    codes = call.grant.covered(node.served_codes)
    return codes[0] if len(codes) == 1 else only_served(node)


def _amending(metadata: Mapping[str, object], business: BusinessType, original: SentDocument) -> dict[str, object]:
    """`metadata` with what the operation says itself: what is done, to which document, by whom, for whom."""
    said = metadata.get("business", {})
    if not isinstance(said, Mapping):
        raise Rejected("metadata-invalid", "`business` is no table.", element="business")
    if "type" in said:
        raise Rejected(
            "metadata-invalid",
            "`business.type` is what the operation says itself.",
            element="business.type",
            mend="Leave it out.",
        )
    table: dict[str, object] = {**said, "type": business.name.lower()}
    amended: dict[str, object] = {"from": original.sender.value, **metadata, "business": table}
    if "to" not in metadata and len(original.recipients) == sum(original.stands.values()):
        amended["to"] = [recipient.code.value for recipient in original.recipients]
    match business:
        case BusinessType.RECALL:
            amended.setdefault("response_for", [{"document_id": original.document_id}])
        case BusinessType.UPDATE:
            table.setdefault("document_id", original.document_id)
        case _:
            table.setdefault("replacements", [{"document_id": original.document_id}])
    return amended


def _answer(submitted: Submitted) -> web.Response:
    return json_answer(
        Submission(message_id=submitted.message_id, repeated=submitted.repeated),
        status=200 if submitted.repeated else 201,
        headers={} if submitted.repeated else {"Location": f"/v1/documents/{submitted.message_id}"},
    )


def _sent(document: SentDocument) -> SentDocumentJson:
    return SentDocumentJson.model_validate(
        {
            "message_id": document.message_id,
            "from": document.sender.value,
            "document_id": document.document_id,
            "code": DocumentCodeJson(number=document.code.number, notation=document.code.notation)
            if document.code
            else None,
            "subject": document.subject,
            "business": document.business.name.lower() if document.business is not None else None,
            "created_at": document.created_at,
            "accepted_at": document.accepted_at,
            "refused": document.refused,
            "adapter": document.adapter,
            "key": document.key,
            "standings": dict(document.stands),
            "recipients": tuple(
                SentRecipientJson(
                    agency=one.code.value,
                    name=one.name,
                    standing=one.standing,
                    delivery=one.delivery,
                    since=one.since,
                    trouble=one.trouble,
                    status=one.status,
                    status_text=one.status_text,
                    status_at=one.status_at,
                )
                for one in document.recipients
            ),
        }
    )
