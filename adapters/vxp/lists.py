"""What arrived, how much of it, and what was sent. The API has no pages, so a list ends at a length of the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

from aiohttp import web

from adapters.sdk import DeliveryKey, MessageKind, NodeApi, SentDocument, SentRecipient, Waiting
from adapters.vxp.answers import answered, success
from adapters.vxp.calls import Call, Handler
from adapters.vxp.document_ids import key_of, received_id, sent_message_id
from adapters.vxp.limits import Gate
from adapters.vxp.progress import Progress
from schemas.times import TimestampText

_SERVICE: Final = "eDoc"
_TYPES: Final = {MessageKind.DOCUMENT: "edoc", MessageKind.STATUS: "status"}
_PAGE: Final = 500


class Lists:
    """Answers with lists of at most `length` rows."""

    def __init__(self, node: NodeApi, progress: Progress, gate: Gate, *, length: int) -> None:
        self._node = node
        self._progress = progress
        self._gate = gate
        self._length = length

    async def received(self, call: Call) -> web.Response:
        """What awaits the system's agencies, most urgent first: all that was neither confirmed nor refused."""
        async with self._gate.in_time():
            waiting = [one async for one in self._waiting(call)]
            begun = await self._progress.begun([one.key for one in waiting])
        return answered(success(data=[_received_row(one, begun=one.key in begun) for one in waiting]))

    def count(self, kind: MessageKind) -> Handler:
        """The operation that counts what `received` lists of this kind."""

        async def counted(call: Call) -> web.Response:
            recipients = call.system.agencies(self._node)
            async with self._gate.in_time():
                number = await self._node.count_waiting(kind=kind, recipients=recipients) if recipients else 0
            return answered(success(count=number))

        return counted

    async def sent(self, call: Call) -> web.Response:
        """The documents that the system's agencies sent, newest first, a row for each recipient."""
        async with self._gate.in_time():
            rows = [row async for row in self._sent(call)]
        return answered(success(data=rows))

    async def _waiting(self, call: Call) -> AsyncIterator[Waiting]:
        recipients = call.system.agencies(self._node)
        after, left = "", self._length
        while recipients and left > 0:
            page = await self._node.waiting(recipients=recipients, kind=call.kind, after=after, limit=min(left, _PAGE))
            for one in page:
                if one.parked is None:
                    left -= 1
                    yield one
            if len(page) < _PAGE:
                return
            after = page[-1].cursor

    async def _sent(self, call: Call) -> AsyncIterator[dict[str, object]]:
        senders = call.system.agencies(self._node)
        if not senders or call.kind is MessageKind.STATUS:
            # The node keeps how its documents stand; a status stands nowhere.
            return
        wanted = await self._wanted(call)
        if wanted == "":
            return
        after, left = "", self._length
        while True:
            page = await self._node.sent(senders=senders, message_id=wanted, after=after, limit=_PAGE)
            for document in page:
                for recipient in document.recipients:
                    if left == 0:
                        return
                    left -= 1
                    yield _sent_row(document, recipient)
            if len(page) < _PAGE:
                return
            after = page[-1].cursor

    async def _wanted(self, call: Call) -> str | None:
        """The message that `docId` asks for, None for all, "" for one that nobody sent.

        A service object repeats the docId of what it fetched before: that of a message that arrived asks for nothing.
        """
        name = call.parameters.find("docid")
        if not name:
            return None
        key = key_of(name)
        if key is not None and call.system.acts_for(key.recipient) and key.recipient in self._node.served_codes:
            return None
        return sent_message_id(name) or ""


def _received_row(one: Waiting, *, begun: bool) -> dict[str, object]:
    return {
        "docId": received_id(one.key),
        "serviceType": _SERVICE,
        "messageType": _TYPES[one.kind],
        "from": one.sender.value,
        "to": one.key.recipient.value,
        "status": "processing" if begun else "initial",
        "status_desc": "Being processed" if begun else "Not fetched yet",
        "created_time": _time(one.received_at),
        "updated_time": _time(one.since),
    }


def _sent_row(document: SentDocument, recipient: SentRecipient) -> dict[str, object]:
    key = DeliveryKey(document.message_id, recipient.code)
    code = document.code
    return {
        "serviceType": _SERVICE,
        "messageType": _TYPES[MessageKind.DOCUMENT],
        "senderDocId": document.message_id,
        "receiverDocId": received_id(key),
        "fromCode": document.sender.value,
        "toCode": recipient.code.value,
        "sendStatus": recipient.delivery.value,
        "sendStatusDesc": document.refused or recipient.trouble or "",
        "receiveStatus": recipient.status.value if recipient.status else "",
        "receiveStatusDesc": recipient.status_text or "",
        "sentTime": _time(document.created_at),
        "receivedTime": _time(recipient.status_at or recipient.since) if recipient.status else "",
        "title": document.subject or "",
        "notation": f"{code.number}/{code.notation}" if code else "",
    }


def _time(instant: datetime) -> str:
    return TimestampText.of(instant).text
