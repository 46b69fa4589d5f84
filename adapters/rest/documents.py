"""Sending: documents and classic files in, and where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from aiohttp import web
from pydantic import Field

from adapters.message_json import Code, DocumentCodeJson
from adapters.rest.operations import Answer, Call, Operation, Query, Words, json_answer
from adapters.rest.parcels import read_classic_body
from adapters.rest.shapes import OverrideRequest, OverrideText, SentDocumentJson, SentList, SentRecipientJson
from adapters.rest.submitting import FORM, PROBLEMS, SENDING, SUBMITTED, Submitting, override_of, submitted_answer
from adapters.rest.tokens import Scope
from adapters.sdk import SentDocument
from adapters.sdk import Submission as NodeSubmission
from schemas.codes import AgencyCode
from schemas.errors import Rejected
from schemas.recipients import parse_selector


class ClassicQuery(Query):
    to: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    """Recipients by rule, beside those that the file names: `H23.*`, `@so-tu-phap`. Give it once for each."""
    override_by: OverrideText | None = None
    """Who answers for a mark of secrecy that a guard would refuse, by name and office; with the scope `override`."""
    override_reason: OverrideText | None = None
    """Why that may be. Both or neither."""

    @property
    def override(self) -> OverrideRequest | None:
        """Raises Rejected: `parameter-invalid` for half of it."""
        if self.override_by is not None and self.override_reason is not None:
            return OverrideRequest(by=self.override_by, reason=self.override_reason)
        if self.override_by is None and self.override_reason is None:
            return None
        raise Rejected(
            "parameter-invalid",
            "An override says why, and who answers for it.",
            element="override_by" if self.override_by is None else "override_reason",
            mend="Give both override_by and override_reason.",
        )


class SentQuery(Query):
    sender: Annotated[tuple[Code, ...], Field(max_length=1000)] = ()
    """Only documents of these agencies of the node. Give it once for each."""
    document_id: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    """Only documents with this DocumentId."""
    after: Annotated[str, Field(max_length=200)] = ""
    """Go on behind a list: its `next`."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class Documents:
    """What the software sends, and what became of it."""

    def __init__(self, submitting: Submitting) -> None:
        self._submitting = submitting
        self._node = submitting.node

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                name="submitDocument",
                method="POST",
                path="/v1/documents",
                tag=SENDING,
                scope=Scope.SUBMIT,
                words=Words("Gửi một văn bản", "Send a document"),
                detail=FORM,
                multipart=True,
                keyed=True,
                answers=SUBMITTED,
                problems=PROBLEMS,
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
                answers=SUBMITTED,
                problems=PROBLEMS,
                run=self.submit_classic,
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
        async with self._submitting.spool() as spool:
            form = await self._submitting.form(call, spool)
            return await self._submitting.send(call, key, form, form.metadata)

    async def submit_classic(self, call: Call) -> web.Response:
        key, query = call.key, call.query(ClassicQuery)
        selectors = tuple(dict.fromkeys(map(parse_selector, query.to)))
        override = override_of(call, query.override)
        async with self._submitting.spool() as spool:
            digest, classic = await read_classic_body(call, spool, self._submitting.limits)
            call.granted(classic.message.sender.organ_id)
            submission = NodeSubmission(
                key=key,
                fingerprint=digest,
                message=classic.message,
                attachments=classic.attachments,
                override=override,
                selectors=selectors,
            )
            return submitted_answer(await self._node.submit(submission))

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
        return json_answer(_sent(await self._submitting.known(call, call.message_id())))


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
