"""The table of a REST adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from adapters.listening import ListenSettings
from schemas.limits import DEFAULT_LIMITS, KIB, MIB, Limits


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"{path} is no absolute path")
    return path


AbsolutePath = Annotated[Path, AfterValidator(_absolute), BeforeValidator(lambda value: value or None)]


class RestSettings(ListenSettings):
    """The node's local API for an agency's own software. docs/adapters/rest.md explains it."""

    listen: str = "127.0.0.1:8465"
    """Where the software connects to, host:port."""
    tokens_file: AbsolutePath | None = None
    """The file with the tokens, an absolute path. Empty: tokens.json in the adapter's folder."""
    uploads: Annotated[int, Field(ge=1, le=256)] = 8
    """How many documents may be on their way in at once; others wait their turn."""
    classic_files: Annotated[int, Field(ge=1, le=64)] = 4
    """How many classic edXML files are written at once for software that fetches them; others wait their turn."""
    streams: Annotated[int, Field(ge=1, le=1000)] = 32
    """How many streams of events may be open at once."""
    lock_seconds: Annotated[int, Field(ge=1, le=86_400)] = 3600
    """The longest that a lock may hold."""
    json_bytes: Annotated[int, Field(ge=4 * KIB, le=16 * MIB)] = 256 * KIB
    """The longest JSON body of a request, the metadata of a document too."""
    message_bytes: Annotated[int, Field(gt=0)] = DEFAULT_LIMITS.message_bytes
    """The longest request: a classic edXML file, or a document with its attachments."""
    attachment_bytes: Annotated[int, Field(gt=0)] = DEFAULT_LIMITS.attachment_bytes
    """The largest attachment, unwrapped."""
    message_attachment_bytes: Annotated[int, Field(gt=0)] = DEFAULT_LIMITS.message_attachment_bytes
    """The attachments of one message together, unwrapped."""
    attachments: Annotated[int, Field(gt=0)] = DEFAULT_LIMITS.attachments
    """How many attachments one message may have."""

    def tokens(self, folder: Path) -> Path:
        """Where the tokens are, for an adapter whose own folder is `folder`."""
        return self.tokens_file or folder / "tokens.json"

    def limits(self) -> Limits:
        return Limits(
            message_bytes=self.message_bytes,
            attachment_bytes=self.attachment_bytes,
            message_attachment_bytes=self.message_attachment_bytes,
            attachments=self.attachments,
        )
