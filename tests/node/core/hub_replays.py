"""What the hub simulator answers a node that was put back to a backup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Handler

from schemas.errors import Unavailable
from schemas.message import Document
from schemas.receipts import SignedReceipt
from schemas.travel import parse_envelope, read_envelope
from tests.node.core.hub_parts import Submission, json_answer
from tests.node.core.world import digest_of
from transport import paths
from transport.wire import (
    DeliveryTrace,
    MessageTrace,
    ReceiptRef,
    ReplaysAnswer,
    ReplaysRequest,
    SentAnswer,
    decode,
)


@dataclass(slots=True)
class Remembered:
    """What the hub knows of the node: the highest mark reported, and what it accepted. `asked` are the node's questions
    in their order; one that is `failing` is not answered now."""

    accepted: Mapping[str, Submission]
    acknowledgements: Mapping[str, SignedReceipt]
    reported: int = 0
    newest_sent: str | None = None
    asked: list[str] = field(default_factory=list)
    failing: str | None = None

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(paths.MESSAGES, self._asked("sent", self._sent)),
            web.get(f"{paths.MESSAGES}/{{id}}/envelope", self._asked("envelope", self._envelope)),
            web.post(paths.REPLAYS, self._asked("replays", self._reopen)),
        ]

    def _asked(self, name: str, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            self.asked.append(name)
            if name == self.failing:
                raise Unavailable("database-busy", "The hub cannot answer that now.")
            return await handler(request)

        return answer

    async def _sent(self, request: web.Request) -> web.Response:
        names = tuple(self.accepted)
        return json_answer(SentAnswer(messages=names[int(request.query["after"]) :]))

    async def _envelope(self, request: web.Request) -> web.Response:
        return web.Response(body=self.accepted[request.match_info["id"]].data, content_type=paths.ENVELOPE_TYPE)

    async def _reopen(self, request: web.Request) -> web.Response:
        after = decode(ReplaysRequest, await request.read()).after
        self.asked[-1] = f"replays after {after}"
        return json_answer(ReplaysAnswer(reopened=0, finished=True))

    def trace(self, message_id: str) -> MessageTrace:
        """A message of the node's that waits at all its recipients."""
        signed = self.acknowledgements[message_id]
        message = read_envelope(parse_envelope(self.accepted[message_id].data)).message
        assert isinstance(message, Document)
        at = datetime.now(UTC)
        return MessageTrace(
            message_id=message_id,
            sender=message.sender.organ_id.value,
            kind="document",
            priority=message.priority,
            accepted_at=at,
            deliveries=tuple(
                DeliveryTrace(recipient=organ.organ_id.value, state="queued", attempts=0, updated_at=at)
                for organ in message.recipients
            ),
            receipts=(ReceiptRef(receipt=signed.receipt, proof=digest_of(signed.proof)),),
            proofs={digest_of(signed.proof): signed.proof},
        )
