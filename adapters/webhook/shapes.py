"""The JSON that is pushed."""

from __future__ import annotations

from adapters.delivery_json import AttachmentFactsJson, DeliveryJson


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
