"""The settings of the filedrop adapter: the table `[adapters.filedrop]` of the node's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from runtime.settings import Settings
from schemas.limits import DEFAULT_LIMITS, Limits


def _absolute(folder: Path | None) -> Path | None:
    if folder is not None and not folder.is_absolute():
        raise ValueError("must be an absolute path")
    return folder


class FiledropSettings(Settings):
    """Folders between the node and any software that can copy a file: out/ is sent, in/ is what arrived."""

    folder: Annotated[Path | None, BeforeValidator(lambda value: value or None), AfterValidator(_absolute)] = None
    """The folder that holds out/, in/, sent/ and failed/, an absolute path. Empty: filedrop/ in the node's folder."""
    poll_seconds: Annotated[float, Field(gt=0, le=3600)] = 0.5
    """How often out/ is looked at."""
    settle_seconds: Annotated[float, Field(ge=0, le=3600)] = 2.0
    """How long an item must have looked the same, and two looks at least, before it is taken."""
    incomplete_seconds: Annotated[float, Field(gt=0, le=86400)] = 60.0
    """After so long without change, what does not look whole is taken all the same, to be refused with its reason: an
    edXML file that breaks off, a file of a kind that is not known."""
    group_access: bool = False
    """Whether the group of the folder may read what arrives, take it away, and drop what is to be sent."""
    message_bytes: Annotated[int, Field(gt=0)] = DEFAULT_LIMITS.message_bytes
    """The largest classic edXML file that is read, attachments included."""
    attachment_bytes: Annotated[int, Field(gt=0)] = DEFAULT_LIMITS.attachment_bytes
    """The largest attachment, unwrapped."""
    message_attachment_bytes: Annotated[int, Field(gt=0)] = DEFAULT_LIMITS.message_attachment_bytes
    """The attachments of one message together, unwrapped."""
    attachments: Annotated[int, Field(gt=0)] = DEFAULT_LIMITS.attachments
    """How many attachments one message may have."""

    def limits(self) -> Limits:
        return Limits(
            message_bytes=self.message_bytes,
            attachment_bytes=self.attachment_bytes,
            message_attachment_bytes=self.message_attachment_bytes,
            attachments=self.attachments,
        )
