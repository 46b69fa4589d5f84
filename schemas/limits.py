"""What a reader takes at most. Every figure can be lowered or raised by a setting; none can be switched off."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, counts in pieces.

    `envelope_bytes` bounds an envelope that travels (attachments are beside it), `attachment_bytes` one attachment
    unwrapped, `message_bytes` a classic file with everything in it, `message_attachment_bytes` all its attachments
    unwrapped together, `inflation_ratio` how many times larger than its compressed form a ZIP entry may grow,
    `text_bytes` one text element other than an attachment's content.
    """

    envelope_bytes: int = 8 * MIB
    attachment_bytes: int = 10 * GIB
    message_bytes: int = 16 * GIB
    message_attachment_bytes: int = 16 * GIB
    attachments: int = 1000
    recipients: int = 20_000
    depth: int = 32
    elements: int = 400_000
    text_bytes: int = 1 * MIB
    inflation_ratio: int = 200


DEFAULT_LIMITS = Limits()
