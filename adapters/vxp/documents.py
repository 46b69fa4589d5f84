"""getEdoc, downloadEdoc, updateStatus: a message is fetched, as often as its software likes, and then settled."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from adapters.classic_deliveries import WrittenMessage, write_delivery
from adapters.sdk import Accepted, Delivery, DeliveryKey, Never, NodeApi, Settlement
from adapters.spool import Spool
from adapters.vxp.answers import answered, encoded, success
from adapters.vxp.bodies import FileAnswer
from adapters.vxp.calls import Call
from adapters.vxp.document_ids import key_of
from adapters.vxp.limits import Gate
from adapters.vxp.progress import Progress
from schemas.errors import Rejected

log = structlog.get_logger()

#: Stands for the base64 text while the rest of the answer is made.
_MARK: Final = "data-stands-here"


class Documents:
    """Gives messages to the system that acts for their recipient. Written forms stand in `spool` while they are sent.

    Whoever takes nothing for `silence_seconds` in the middle of an answer is given up.
    """

    def __init__(self, node: NodeApi, progress: Progress, gate: Gate, *, spool: Path, silence_seconds: float) -> None:
        self._node = node
        self._progress = progress
        self._gate = gate
        self._spool = spool
        self._silence = silence_seconds

    async def get(self, call: Call) -> web.StreamResponse:
        """The classic form as base64 in the envelope, streamed."""
        async with self._written(call) as written:
            head, _, tail = encoded(success(data=_MARK)).partition(_MARK.encode())
            answer = FileAnswer(written.path, written.size, head, tail)
            return await answer.send(call.request, "application/json", silence_seconds=self._silence)

    async def download(self, call: Call) -> web.StreamResponse:
        """The classic form as it is, streamed."""
        async with self._written(call) as written:
            answer = FileAnswer(written.path, written.size)
            return await answer.send(call.request, "application/xml", silence_seconds=self._silence)

    async def update(self, call: Call) -> web.Response:
        """`done`: the software has it, for good. `fail`: it cannot take it, which a person is shown. `processing`.

        Raises Rejected: `status-unknown`, and what `NodeApi.settle` raises.
        """
        key = self._key(call)
        status = call.parameters.need("status").lower()
        async with self._gate.in_time():
            match status:
                case "done":
                    await self._settle(key, Accepted())
                case "fail":
                    words = call.parameters.find("description") or "no reason was given"
                    await self._settle(key, Never(f"{call.system.system_id} reports fail: {words}"))
                case "processing":
                    await self._delivery(key)
                    await self._progress.begin(key)
                case _:
                    raise Rejected(
                        "status-unknown",
                        f"{status[:60]!r} is no status of a received message.",
                        mend="Give done, fail or processing; other statuses are messages of their own (sendEdoc).",
                    )
        log.info("vxp.updated", system=call.system.system_id, delivery=str(key), status=status)
        return answered(success())

    async def _settle(self, key: DeliveryKey, outcome: Settlement) -> None:
        await self._node.settle(key, outcome)
        await self._progress.end(key)

    @contextlib.asynccontextmanager
    async def _written(self, call: Call) -> AsyncIterator[WrittenMessage]:
        key = self._key(call)
        async with self._gate.transfer():
            delivery = await self._delivery(key)
            with await asyncio.to_thread(Spool, self._spool) as spool:
                async with self._gate.in_time(sum(one.size for one in delivery.attachments)):
                    written = await write_delivery(delivery, self._node, spool)
                yield written

    async def _delivery(self, key: DeliveryKey) -> Delivery:
        async with self._gate.in_time():
            delivery = await self._node.delivery(key)
        if delivery is None:
            raise _unknown(str(key))
        return delivery

    def _key(self, call: Call) -> DeliveryKey:
        """The delivery that `docId` names. One of another system is as unknown as one that never came."""
        name = call.parameters.need("docid")
        key = key_of(name)
        if key is None or key.recipient not in call.system.agencies(self._node):
            raise _unknown(name)
        return key


def _unknown(name: str) -> Rejected:
    return Rejected(
        "delivery-unknown",
        f"There is no received message {json.dumps(name[:120])} for this system.",
        mend="Take docId from getReceivedEdocList.",
    )
