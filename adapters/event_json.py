"""Events as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from adapters.message_json import JsonShape
from adapters.sdk import EventName, MessageKind, NodeEvent
from schemas.message import StatusCode


class EventJson(JsonShape):
    """Something that happened to a message of this node."""

    number: int
    """Grows by one from event to event, and means the same for ever."""
    at: datetime
    name: EventName
    message_id: str
    kind: MessageKind
    from_: Annotated[str, Field(alias="from")]
    agency: str | None = None
    """Where it happened: of what came the agency of this node, of what was sent the recipient."""
    document_id: str | None = None
    status: StatusCode | None = None
    """Of a status message."""
    about: tuple[str, ...]
    """The message ids of which it speaks."""
    text: str | None = None
    """A reason in words."""


def event_json(event: NodeEvent) -> EventJson:
    return EventJson(
        number=event.number,
        at=event.at,
        name=event.name,
        message_id=event.message_id,
        kind=event.kind,
        from_=event.sender.value,
        agency=event.code.value if event.code else None,
        document_id=event.document_id,
        status=event.status,
        about=event.about,
        text=event.text,
    )
