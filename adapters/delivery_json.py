"""A delivery as JSON: the message with what the node knows of it, and what is said of its attachments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, TypeAlias

from pydantic import Field

from adapters.message_json import JsonShape, MessageJson
from adapters.pdf_signatures import PdfSignature
from adapters.sdk import Delivery, IncomingAttachment
from schemas.names import safe_name

MessageId: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class SignatureJson(JsonShape):
    """Chữ ký số trong tệp PDF / A signature in a PDF file, as it was when the node looked."""

    field: str
    signer: str | None = None
    signed_at: datetime | None = None
    intact: bool
    """What was signed is as it was signed."""
    covers_whole_file: bool
    modified: bool
    """Something was added that a signed file may not be given."""
    trusted: bool
    """The signer's certificate leads to an anchor of the node's settings."""
    fault: str | None = None


class OverrideJson(JsonShape):
    """Who answers, at the sender, for a mark of secrecy that a guard reads in the document, and why."""

    by: str
    reason: str


class AttachmentFactsJson(JsonShape):
    """A file that came with a document. `name` is as its sender wrote it: make it safe before it names a file."""

    number: int
    """1 for the first."""
    name: str
    safe_name: str
    """A name near to it that is safe on every system, and another one for each attachment of the message."""
    content_type: str
    description: str
    size: int
    sha256: str
    signatures: tuple[SignatureJson, ...]
    """Those found in it, where the node's guard for signed PDF files runs and looked."""


class DeliveryJson(JsonShape):
    """A message whole."""

    message_id: MessageId
    recipient: str
    message: MessageJson
    about: tuple[str, ...]
    """The message ids of which it speaks."""
    missing: tuple[str, ...]
    """Those among them that never came here for this agency."""
    signer: str
    """Whose certificate sealed it."""
    signed_at: datetime
    accepted_at: datetime
    received_at: datetime
    override: OverrideJson | None = None


def attachment_facts(delivery: Delivery) -> Iterator[tuple[IncomingAttachment, AttachmentFactsJson]]:
    """The attachments in their order, each with what is said of it."""
    taken: list[str] = []
    for number, attachment in enumerate(delivery.attachments, 1):
        taken.append(safe_name(attachment.name, taken))
        yield (
            attachment,
            AttachmentFactsJson(
                number=number,
                name=attachment.name,
                safe_name=taken[-1],
                content_type=attachment.content_type,
                description=attachment.description,
                size=attachment.size,
                sha256=attachment.digest,
                signatures=tuple(map(_signature, attachment.signatures)),
            ),
        )


def override_json(delivery: Delivery) -> OverrideJson | None:
    """The override that came with the message, if one did."""
    who = delivery.override
    return OverrideJson(by=who.by, reason=who.reason) if who else None


def _signature(signature: PdfSignature) -> SignatureJson:
    return SignatureJson(
        field=signature.field,
        signer=signature.signer,
        signed_at=signature.signed_at,
        intact=signature.intact,
        covers_whole_file=signature.covers_whole_file,
        modified=signature.modified,
        trusted=signature.trusted,
        fault=signature.fault,
    )
