"""The stand-in node's log of events: offers and ends of hand-overs, as software that follows it sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from adapters.kit.messages import NOW, Case
from adapters.kit.record import Record
from adapters.sdk import EventName, MessageKind, NodeEvent
from schemas.message import Document

_NAMES: Final = {
    "awaiting": EventName.HANDOVER_AWAITING,
    "accepted": EventName.HANDOVER_DONE,
    "refused": EventName.HANDOVER_REFUSED,
    "never": EventName.HANDOVER_PARKED,
}
#: Seconds between two looks of somebody who waits.
_PAUSE: Final = 0.02


async def events_after(
    record: Record, cases: Mapping[str, Case], number: int, *, limit: int, wait_seconds: float
) -> Sequence[NodeEvent]:
    """The first `limit` events after `number`; waits for one for up to `wait_seconds`."""
    now = asyncio.get_running_loop().time
    ends_at = now() + wait_seconds
    while not (rows := record.events(number, limit)) and now() < ends_at:  # noqa: ASYNC110 - another process may write
        await asyncio.sleep(_PAUSE)
    return [_event(row.number, cases[row.key], row.state, row.reason) for row in rows if row.key in cases]


def _event(number: int, case: Case, state: str, reason: str | None) -> NodeEvent:
    delivery = case.delivery
    message = delivery.message
    is_document = isinstance(message, Document)
    return NodeEvent(
        number=number,
        at=NOW,
        name=_NAMES[state],
        message_id=delivery.key.message_id,
        kind=MessageKind.DOCUMENT if is_document else MessageKind.STATUS,
        sender=message.sender.organ_id,
        code=delivery.key.recipient,
        document_id=message.document_id if isinstance(message, Document) else message.response_for.document_id,
        status=None if isinstance(message, Document) else message.status_code,
        about=delivery.about,
        text=reason,
    )
