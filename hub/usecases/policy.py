"""What the hub refuses whoever sends it: secrecy, what is over already, and sizes beyond its limits."""

from __future__ import annotations

from datetime import datetime

from schemas.envelope import Envelope, SecrecyLevel
from schemas.errors import LimitExceeded, Rejected
from schemas.instants import instant_text
from schemas.limits import Limits
from schemas.markup import nth

_LEVELS = {
    SecrecyLevel.SECRET: "mật",
    SecrecyLevel.TOP_SECRET: "tối mật",
    SecrecyLevel.ABSOLUTE_SECRET: "tuyệt mật",
}


def require_admissible(envelope: Envelope, limits: Limits, at: datetime) -> None:
    """Pass if an envelope of this content may enter at `at`.

    Raises:
        Rejected: `secrecy-forbidden`, `already-expired`.
        LimitExceeded: `attachment-too-large`, `attachments-too-large`.
    """
    extension = envelope.extension
    if extension.secrecy is not None:
        raise Rejected(
            "secrecy-forbidden",
            f"The document is marked as a state secret ({_LEVELS[extension.secrecy]}); none may travel here.",
            element="Extension/Secrecy",
            mend="Send it by the way that the law prescribes for state secrets.",
        )
    if extension.expires_at is not None and extension.expires_at <= at:
        raise Rejected(
            "already-expired",
            f"The message expired at {instant_text(extension.expires_at)}: nobody would be handed it.",
            element="Extension/ExpiresAt",
            mend="Send it anew with a later expiry, or with none. If the expiry is still to come, set the clock right.",
        )
    for place, attachment in enumerate(extension.attachment_sizes):
        if attachment.size > limits.attachment_bytes:
            raise LimitExceeded(
                "attachment-too-large",
                f"The attachment has {attachment.size} bytes; {limits.attachment_bytes} are allowed.",
                element=nth("Extension/AttachmentSize", place),
                mend="Split the attachment.",
            )
    together = sum(attachment.size for attachment in extension.attachment_sizes)
    if together > limits.message_attachment_bytes:
        raise LimitExceeded(
            "attachments-too-large",
            f"The attachments have {together} bytes together; {limits.message_attachment_bytes} are allowed.",
            element="Extension/AttachmentSize",
            mend="Send several documents.",
        )
