"""The states that the node's record knows."""

from __future__ import annotations

from enum import StrEnum


class MessageKind(StrEnum):
    DOCUMENT = "document"
    STATUS = "status"


class OutboxState(StrEnum):
    """Where a message of ours stands on its way to the hub.

    `held` behind a message that must reach the hub first, `ready` to be sent, `resting` until its next try; `accepted`
    by the hub, with its receipt; `refused`, with the reason.
    """

    HELD = "held"
    READY = "ready"
    RESTING = "resting"
    ACCEPTED = "accepted"
    REFUSED = "refused"

    @property
    def is_waiting(self) -> bool:
        return self in (OutboxState.HELD, OutboxState.READY, OutboxState.RESTING)


class DeliveryState(StrEnum):
    """How far a message of ours has come to one recipient.

    `waiting` for the hub, `accepted` by it, `consigned` (durably stored by the recipient's node), `handed-over` to its
    software; `refused` or `failed` there; `expired` or `cancelled` at the hub.
    """

    WAITING = "waiting"
    ACCEPTED = "accepted"
    CONSIGNED = "consigned"
    HANDED_OVER = "handed-over"
    HANDOVER_FAILED = "handover-failed"
    REFUSED = "refused"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class HandoverState(StrEnum):
    """Where a received message stands on its way to the agency's software, for one agency.

    `held` behind a message that must be handed over first, `ready`, `resting` until its next try; `handed-over`;
    `refused` by the software; `parked` until a person drives it again.
    """

    HELD = "held"
    READY = "ready"
    RESTING = "resting"
    HANDED_OVER = "handed-over"
    REFUSED = "refused"
    PARKED = "parked"

    @property
    def is_waiting(self) -> bool:
        return self in (HandoverState.HELD, HandoverState.READY, HandoverState.RESTING)
