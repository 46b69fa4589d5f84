"""A message whole: as JSON, as a classic edXML file, as the sealed envelope it came in, and its attachments."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aiohttp import web

from adapters.attachment_answers import BYTES, answer_attachment, untrusted_headers
from adapters.classic_deliveries import write_delivery
from adapters.delivery_json import attachment_facts, override_json
from adapters.message_json import message_json
from adapters.rest.inbox import MESSAGE_PATH, RECEIVING, delivery_key, delivery_unknown
from adapters.rest.operations import Answer, Call, Operation, Words, json_answer
from adapters.rest.parcels import spooling
from adapters.rest.shapes import AttachmentJson, FetchedMessage
from adapters.rest.tokens import Scope
from adapters.sdk import Delivery, NodeApi
from adapters.spool import CHUNK
from schemas.errors import Rejected

_XML: Final = "application/xml"


class Fetching:
    """The messages that were offered to the software. `classic_files` is how many are written at once."""

    def __init__(self, node: NodeApi, *, spool: Path, classic_files: int) -> None:
        self._node = node
        self._spool = spool
        self._places = asyncio.Semaphore(classic_files)

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                name="getMessage",
                method="GET",
                path=MESSAGE_PATH,
                tag=RECEIVING,
                scope=Scope.RECEIVE,
                words=Words("Lấy nội dung (JSON)", "Fetch a message as JSON"),
                answers={200: Answer(words=Words("Nội dung", "The message"), shape=FetchedMessage)},
                problems=(404, 422),
                run=self.message,
            ),
            Operation(
                name="getMessageClassic",
                method="GET",
                path=f"{MESSAGE_PATH}/edxml",
                tag=RECEIVING,
                scope=Scope.RECEIVE,
                words=Words("Lấy gói edXML, kèm tệp", "Fetch it as a classic edXML file, attachments inside"),
                answers={200: Answer(words=Words("Gói edXML", "The file"), media=_XML)},
                problems=(404, 422, 507),
                run=self.classic,
            ),
            Operation(
                name="getMessageEnvelope",
                method="GET",
                path=f"{MESSAGE_PATH}/envelope",
                tag=RECEIVING,
                scope=Scope.RECEIVE,
                words=Words("Lấy bản đã ký số", "Fetch the sealed envelope, byte for byte as it came"),
                answers={200: Answer(words=Words("Bản đã ký", "The envelope"), media=_XML)},
                problems=(404, 422),
                run=self.envelope,
            ),
            Operation(
                name="getAttachment",
                method="GET",
                path=f"{MESSAGE_PATH}/attachments/{{number}}",
                tag=RECEIVING,
                scope=Scope.RECEIVE,
                words=Words("Tải tệp đính kèm, được tải tiếp", "Fetch an attachment, or a range of its bytes"),
                headers={"Range": Words("Khoảng byte", "One range of bytes: bytes=1000-")},
                answers={
                    200: Answer(words=Words("Cả tệp", "The whole file"), media=BYTES),
                    206: Answer(
                        words=Words("Một phần", "The range"),
                        media=BYTES,
                        headers={"Content-Range": Words("Khoảng", "The range, of how many bytes")},
                    ),
                },
                problems=(404, 416, 422),
                run=self.attachment,
            ),
        )

    async def message(self, call: Call) -> web.Response:
        delivery = await self._delivery(call)
        return json_answer(fetched(delivery, path=call.request.rel_url.raw_path.rstrip("/")))

    async def classic(self, call: Call) -> web.StreamResponse:
        delivery = await self._delivery(call)
        async with self._places, spooling(self._spool) as spool:
            written = await write_delivery(delivery, self._node, spool)
            response = web.StreamResponse(headers=untrusted_headers(f"{delivery.key}.edxml"))
            response.content_type = _XML
            response.content_length = written.size
            await response.prepare(call.request)
            with await asyncio.to_thread(written.path.open, "rb") as file:
                while chunk := await asyncio.to_thread(file.read, CHUNK):
                    await response.write(chunk)
            await response.write_eof()
            return response

    async def envelope(self, call: Call) -> web.Response:
        delivery = await self._delivery(call)
        headers = untrusted_headers(f"{delivery.key}.xml")
        return web.Response(body=delivery.sealed, content_type=_XML, headers=headers)

    async def attachment(self, call: Call) -> web.StreamResponse:
        delivery = await self._delivery(call)
        number = call.request.match_info["number"]
        if not (number.isascii() and number.isdecimal() and 1 <= int(number[:8]) <= len(delivery.attachments)):
            raise Rejected(
                "attachment-unknown",
                f"The message has {len(delivery.attachments)} attachments, and none under {number[:20]!r}.",
                mend="Count from 1.",
            )
        chosen = delivery.attachments[int(number) - 1]
        return await answer_attachment(
            call.request, self._node, digest=chosen.digest, size=chosen.size, name=chosen.name
        )

    async def _delivery(self, call: Call) -> Delivery:
        key = delivery_key(call)
        delivery = await self._node.delivery(key)
        if delivery is None:
            raise delivery_unknown(key)
        return delivery


def fetched(delivery: Delivery, *, path: str) -> FetchedMessage:
    """The message as JSON; its attachments stand below `path`."""
    return FetchedMessage(
        message_id=delivery.key.message_id,
        recipient=delivery.key.recipient.value,
        message=message_json(delivery.message),
        attachments=tuple(
            AttachmentJson(**dict(facts), path=f"{path}/attachments/{facts.number}")
            for _, facts in attachment_facts(delivery)
        ),
        about=delivery.about,
        missing=delivery.missing,
        signer=delivery.signer,
        signed_at=delivery.signed_at,
        accepted_at=delivery.accepted_at,
        received_at=delivery.received_at,
        override=override_json(delivery),
    )
