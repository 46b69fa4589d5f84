"""The settings of the filedrop adapter: the table `[adapters.filedrop]` of the node's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from runtime.settings import Settings
from schemas.limits import DEFAULT_LIMITS, Limits


def _absolute(folder: Path) -> Path:
    if not folder.is_absolute():
        raise ValueError("must be an absolute path")
    return folder


class FiledropSettings(Settings):
    """`folder` holds out/, in/, sent/ and failed/; if absent, the adapter's own folder in the node's does.

    An item of out/ is taken when it looked the same twice and for `settle_seconds`, the folder being looked at every
    `poll_seconds`. What does not look whole (an edXML file that breaks off, a kind of file that is not known) is judged
    all the same after `incomplete_seconds` without change. With `group_access` the group of the
    folder may read what arrives, move it, and drop what is to be sent. Sizes are in bytes, as in `Limits`.
    """

    folder: Annotated[Path, AfterValidator(_absolute)] | None = None
    settle_seconds: Annotated[float, Field(ge=0)] = 2.0
    poll_seconds: Annotated[float, Field(gt=0)] = 1.0
    incomplete_seconds: Annotated[float, Field(gt=0)] = 60.0
    group_access: bool = False
    message_bytes: Annotated[int, Field(gt=0)] = DEFAULT_LIMITS.message_bytes
    attachment_bytes: Annotated[int, Field(gt=0)] = DEFAULT_LIMITS.attachment_bytes
    attachments: Annotated[int, Field(gt=0)] = DEFAULT_LIMITS.attachments
    message_attachment_bytes: Annotated[int, Field(gt=0)] = DEFAULT_LIMITS.message_attachment_bytes

    def limits(self) -> Limits:
        return Limits(
            message_bytes=self.message_bytes,
            attachment_bytes=self.attachment_bytes,
            message_attachment_bytes=self.message_attachment_bytes,
            attachments=self.attachments,
        )
