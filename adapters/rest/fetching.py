"""A message whole: as JSON, as a classic edXML file, as the sealed envelope it came in, and its attachments."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from aiohttp import web

from adapters.classic_deliveries import write_delivery
from adapters.message_json import message_json
from adapters.rest.inbox import MESSAGE_PATH, RECEIVING, delivery_key, delivery_unknown
from adapters.rest.operations import Answer, Call, Operation, Words, json_answer
from adapters.rest.parcels import spooling
from adapters.rest.shapes import AttachmentJson, FetchedMessage
from adapters.rest.tokens import Scope
from adapters.sdk import Delivery, IncomingAttachment, NodeApi
from adapters.spool import CHUNK
from schemas.errors import Rejected
from schemas.names import safe_name

_XML: Final = "application/xml"
_BYTES: Final = "application/octet-stream"
#: Whatever a sender named or wrote, a browser must neither show nor run it.
_UNTRUSTED: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "no-store",
}


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
                    200: Answer(words=Words("Cả tệp", "The whole file"), media=_BYTES),
                    206: Answer(
                        words=Words("Một phần", "The range"),
                        media=_BYTES,
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
            response = web.StreamResponse(headers=_untrusted(f"{delivery.key}.edxml"))
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
        headers = _untrusted(f"{delivery.key}.xml")
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
        return await self._stream(call, delivery.attachments[int(number) - 1])

    async def _stream(self, call: Call, attachment: IncomingAttachment) -> web.StreamResponse:
        first, end, partial = _range(call.request, attachment)
        response = web.StreamResponse(status=206 if partial else 200, headers=_untrusted(attachment.name))
        response.content_type = _BYTES
        response.content_length = end - first
        response.headers["Accept-Ranges"] = "bytes"
        response.headers["ETag"] = f'"{attachment.digest}"'
        if partial:
            response.headers["Content-Range"] = f"bytes {first}-{end - 1}/{attachment.size}"
        left = end - first
        async with self._node.open_attachment(attachment.digest, start=first) as chunks:
            async for chunk in chunks:
                # Not before the first bytes are there: until then an error can still be told.
                if not response.prepared:
                    await response.prepare(call.request)
                await response.write(chunk[:left])
                left -= min(left, len(chunk))
                if not left:
                    break
        if not response.prepared:
            await response.prepare(call.request)
        await response.write_eof()
        return response

    async def _delivery(self, call: Call) -> Delivery:
        key = delivery_key(call)
        delivery = await self._node.delivery(key)
        if delivery is None:
            raise delivery_unknown(key)
        return delivery


def fetched(delivery: Delivery, *, path: str) -> FetchedMessage:
    """The message as JSON; its attachments stand below `path`."""
    safe: list[str] = []
    for attachment in delivery.attachments:
        safe.append(safe_name(attachment.name, safe))
    return FetchedMessage(
        message_id=delivery.key.message_id,
        recipient=delivery.key.recipient.value,
        message=message_json(delivery.message),
        attachments=tuple(
            AttachmentJson(
                number=number,
                name=attachment.name,
                safe_name=name,
                content_type=attachment.content_type,
                description=attachment.description,
                size=attachment.size,
                sha256=attachment.digest,
                path=f"{path}/attachments/{number}",
            )
            for number, (attachment, name) in enumerate(zip(delivery.attachments, safe, strict=True), 1)
        ),
        about=delivery.about,
        missing=delivery.missing,
        signer=delivery.signer,
        signed_at=delivery.signed_at,
        accepted_at=delivery.accepted_at,
        received_at=delivery.received_at,
    )


def _range(request: web.Request, attachment: IncomingAttachment) -> tuple[int, int, bool]:
    """The first byte, the one behind the last, and whether a range was asked for (RFC 9110, 14)."""
    size = attachment.size
    if "Range" not in request.headers or request.headers.get("If-Range", f'"{attachment.digest}"') != (
        f'"{attachment.digest}"'
    ):
        return 0, size, False
    try:
        asked = request.http_range
    except ValueError:
        # A range of another unit, or several: RFC 9110 lets a server send the whole instead.
        return 0, size, False
    first, end, _ = asked.indices(size)
    if first >= end:
        raise Rejected(
            "range",
            f"The attachment has {size} bytes: there is no {request.headers['Range'][:80]}.",
            element="Range",
            mend="Ask for bytes that there are.",
        )
    return first, end, True


def _untrusted(name: str) -> dict[str, str]:
    """Headers of content that a sender wrote: a download under a safe name, whatever it says it is."""
    plain = safe_name(name, ())
    return {**_UNTRUSTED, "Content-Disposition": f"attachment; filename*=UTF-8''{quote(plain, safe='')}"}
