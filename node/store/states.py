"""The states that the node's record knows."""

from __future__ import annotations

from enum import StrEnum

from adapters.sdk import DeliveryState, MessageKind, Standing

__all__ = [
    "CompanionRole",
    "DeadlineStage",
    "DeliveryState",
    "Direction",
    "HandoverState",
    "MessageKind",
    "OutboxState",
    "RequestState",
    "Standing",
]


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


class HandoverState(StrEnum):
    """Where a received message stands on its way to the agency's software, for one agency.

    `held` behind a message that must be handed over first, `ready`, `resting` until its next try; `awaiting` software
    that fetches it itself; `handed-over`; `refused` by the software; `parked` until a person drives it again.
    """

    HELD = "held"
    READY = "ready"
    RESTING = "resting"
    AWAITING = "awaiting"
    HANDED_OVER = "handed-over"
    REFUSED = "refused"
    PARKED = "parked"

    @property
    def is_waiting(self) -> bool:
        return self in (HandoverState.HELD, HandoverState.READY, HandoverState.RESTING, HandoverState.AWAITING)


class RequestState(StrEnum):
    """What a recipient has answered to a recall or an update: nothing yet, status 15, or status 16 (or 02)."""

    OPEN = "open"
    AGREED = "agreed"
    REFUSED = "refused"


class CompanionRole(StrEnum):
    """Why a message went along with another: the same, said to those who hold a copy (`part`); a copy of the document
    for receivers that were added; a recall from those that were removed."""

    PART = "part"
    COPY = "copy"
    RECALL = "recall"


class DeadlineStage(StrEnum):
    """Where a deadline stands: far `ahead`, told to be `near` or `past`, or `settled`: the document is finished,
    refused, or given back."""

    AHEAD = "ahead"
    NEAR = "near"
    PAST = "past"
    SETTLED = "settled"


class Direction(StrEnum):
    """Where an attachment goes: into the node from its software, to the hub, from the hub."""

    COPY = "copy"
    UPLOAD = "upload"
    DOWNLOAD = "download"
