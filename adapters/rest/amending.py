"""Recalls, updates and replacements: ordered by a document's id and a reason, or written out as forms."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from adapters.rest.operations import JSON, Call, Operation, Words
from adapters.rest.shapes import RecallRequest, UpdateRequest
from adapters.rest.submitting import FORM, PROBLEMS, SENDING, SUBMITTED, Submitting, override_of, submitted_answer
from adapters.rest.tokens import Scope
from adapters.sdk import RecallOrder, SentDocument, UpdateOrder
from schemas.codes import AgencyCode
from schemas.errors import Rejected
from schemas.message import BusinessType

_WRITTEN: Final = (
    f"{FORM} The `business` of the metadata needs a `reason` alone; without `to` it goes to whom the document went, "
    "and `from` is its sender."
)
_ORDERED: Final = "As JSON it is an order: the node composes the message from the document itself. As a form it is {}"


class Amending:
    """What a sender does to a document that is out already."""

    def __init__(self, submitting: Submitting) -> None:
        self._submitting = submitting
        self._node = submitting.node

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                name="recallDocument",
                method="POST",
                path="/v1/documents/{message_id}/recall",
                tag=SENDING,
                scope=Scope.SUBMIT,
                words=Words("Thu hồi văn bản đã gửi", "Recall a document"),
                detail=_ORDERED.format(f"a recall written out. {_WRITTEN}"),
                body=RecallRequest,
                multipart=True,
                keyed=True,
                answers=SUBMITTED,
                problems=(404, 410, *PROBLEMS),
                run=self.recall,
            ),
            Operation(
                name="updateDocument",
                method="POST",
                path="/v1/documents/{message_id}/update",
                tag=SENDING,
                scope=Scope.SUBMIT,
                words=Words("Cập nhật văn bản đã gửi", "Update a document"),
                detail=_ORDERED.format(f"an update written out, which may bring files. {_WRITTEN}"),
                body=UpdateRequest,
                multipart=True,
                keyed=True,
                answers=SUBMITTED,
                problems=(404, 410, *PROBLEMS),
                run=self.update,
            ),
            Operation(
                name="replaceDocument",
                method="POST",
                path="/v1/documents/{message_id}/replace",
                tag=SENDING,
                scope=Scope.SUBMIT,
                words=Words("Thay thế văn bản đã gửi", "Replace a document"),
                detail=_WRITTEN,
                multipart=True,
                keyed=True,
                answers=SUBMITTED,
                problems=(404, *PROBLEMS),
                run=self.replace,
            ),
        )

    async def recall(self, call: Call) -> web.Response:
        if call.request.content_type != JSON:
            return await self._written(call, BusinessType.RECALL)
        key = call.key
        original = await self._submitting.known(call, call.message_id())
        said = await call.body(RecallRequest)
        order = RecallOrder(
            key=key,
            message_id=original.message_id,
            reason=said.reason.strip(),
            recipients=None if said.to is None else _codes(said.to),
        )
        return submitted_answer(await self._node.recall(order))

    async def update(self, call: Call) -> web.Response:
        if call.request.content_type != JSON:
            return await self._written(call, BusinessType.UPDATE)
        key = call.key
        original = await self._submitting.known(call, call.message_id())
        said = await call.body(UpdateRequest)
        order = UpdateOrder(
            key=key,
            fingerprint=hashlib.sha256(said.model_dump_json().encode()).hexdigest(),
            message_id=original.message_id,
            reason=said.reason.strip(),
            metadata=said.metadata,
            add=_codes(said.add),
            remove=_codes(said.remove),
            override=override_of(call, said.override),
        )
        return submitted_answer(await self._node.update(order))

    async def replace(self, call: Call) -> web.Response:
        return await self._written(call, BusinessType.REPLACE)

    async def _written(self, call: Call, business: BusinessType) -> web.Response:
        key = call.key
        original = await self._submitting.known(call, call.message_id())
        async with self._submitting.spool() as spool:
            form = await self._submitting.form(call, spool)
            metadata = _completed(form.metadata, business, original)
            return await self._submitting.send(call, key, form, metadata, about=original)


def _codes(words: Sequence[str]) -> tuple[AgencyCode, ...]:
    return tuple(map(AgencyCode.parse, words))


def _completed(metadata: Mapping[str, object], business: BusinessType, original: SentDocument) -> dict[str, object]:
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
