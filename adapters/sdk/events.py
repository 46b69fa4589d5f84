"""What happened to a node's messages: a numbered log that software may follow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from adapters.sdk.waiting import MessageKind
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.message import StatusCode


class EventName(StrEnum):
    """What an event tells: of messages that came, of those that went out, of deadlines."""

    DOCUMENT_ARRIVED = "document.arrived"
    STATUS_ARRIVED = "status.arrived"
    HANDOVER_AWAITING = "handover.awaiting"
    HANDOVER_DONE = "handover.done"
    HANDOVER_REFUSED = "handover.refused"
    HANDOVER_PARKED = "handover.parked"
    DELIVERY_ACCEPTED = "delivery.accepted"
    DELIVERY_CONSIGNED = "delivery.consigned"
    DELIVERY_HANDED_OVER = "delivery.handed-over"
    DELIVERY_HANDOVER_FAILED = "delivery.handover-failed"
    DELIVERY_REFUSED = "delivery.refused"
    DELIVERY_EXPIRED = "delivery.expired"
    DELIVERY_CANCELLED = "delivery.cancelled"
    DEADLINE_NEAR = "deadline.near"
    DEADLINE_PAST = "deadline.past"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEvent:
    """One line of the log. `number` grows by the order of commits; a number once given means the same for ever.

    `code` is the agency at or for which it happened: ours for what came, the recipient for what went out (None: the
    message as a whole). `status` is a status message's; `about` what that speaks of; `text` a reason in words.
    """

    number: int
    at: datetime
    name: EventName
    message_id: Sha256Hex
    kind: MessageKind
    sender: AgencyCode
    code: AgencyCode | None
    document_id: str | None
    status: StatusCode | None
    about: tuple[Sha256Hex, ...]
    text: str | None
