"""The JSON that is pushed."""

from __future__ import annotations

from adapters.delivery_json import AttachmentFactsJson, DeliveryJson
from adapters.event_json import EventJson
from adapters.message_json import JsonShape


class PushedAttachment(AttachmentFactsJson):
    """A file that came with a document: a link to it, or its bytes."""

    url: str | None = None
    """Where to fetch it, for a while, without any other right."""
    content: str | None = None
    """Its bytes in base64."""


class PushedMessage(DeliveryJson):
    """A message. Keep `key` with it, as a unique column: what is pushed again bears the same."""

    key: str
    attachments: tuple[PushedAttachment, ...]


class PushedEvents(JsonShape):
    """What happened, in order. An event whose number the software has had already is the same event again."""

    events: tuple[EventJson, ...]
    last: int
