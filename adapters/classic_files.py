"""Classic edXML files on their way to the node: the message, and its attachments as files of a spool."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from adapters.content_types import content_type_of
from adapters.sdk import OutgoingAttachment
from adapters.spool import Spool
from runtime.files import storage_errors
from schemas.classic_reader import ClassicAttachment, read_classic
from schemas.findings import Finding
from schemas.limits import Limits
from schemas.message import Document, Message

_ZIP = "application/zip"


@dataclass(frozen=True, slots=True)
class ClassicFile:
    """What a classic file holds; `warnings` are what its reader noticed and bore."""

    message: Message
    attachments: tuple[OutgoingAttachment, ...]
    warnings: tuple[Finding, ...]


def read_classic_file(chunks: Iterable[bytes], name: str, spool: Spool, limits: Limits) -> ClassicFile:
    """Read the file `name`, its bytes in `chunks`; its attachments stand in `spool`.

    Blocks: for a thread. Raises what `read_classic` raises, and Unavailable if the spool's disk is full.
    """
    sinks = _SpoolSinks(spool)
    classic = read_classic(chunks, sinks.open, limits=limits, source=name)
    references = classic.message.references if isinstance(classic.message, Document) else ()
    types = {reference.content_id: reference.content_type for reference in references}
    return ClassicFile(
        message=classic.message,
        attachments=tuple(
            OutgoingAttachment(
                name=one.name or f"attachment-{one.index + 1}",
                content_type=_unwrapped_type(one, types.get(one.content_id)),
                description=one.description,
                path=sinks.kept[one.index],
            )
            for one in classic.attachments
        ),
        warnings=classic.warnings,
    )


def _unwrapped_type(attachment: ClassicAttachment, in_manifest: str | None) -> str:
    """The type of the file itself: what is wrapped in a ZIP is called by the ZIP's type, often in the manifest too."""
    if not attachment.wrapped or attachment.content_type not in ("", _ZIP):
        return attachment.content_type or content_type_of(attachment.name)
    return in_manifest if in_manifest not in (None, "", _ZIP) else content_type_of(attachment.name)


class _SpoolSinks:
    """The sinks of a message's attachments, each a file of the spool; `kept` are those that were closed whole."""

    def __init__(self, spool: Spool) -> None:
        self.kept: dict[int, Path] = {}
        self._spool = spool

    def open(self, index: int) -> _SpoolSink:
        return _SpoolSink(self._spool.new_file(), functools.partial(self.kept.__setitem__, index))


class _SpoolSink:
    def __init__(self, file: BinaryIO, keep: Callable[[Path], None]) -> None:
        self._file = file
        self._path = Path(file.name)
        self._keep = keep

    def write(self, data: bytes) -> None:
        with storage_errors(self._path):
            self._file.write(data)

    def close(self) -> None:
        with storage_errors(self._path):
            self._file.close()
        self._keep(self._path)

    def discard(self) -> None:
        # What the buffer holds may not fit on the disk any more, and nobody wants it.
        with contextlib.suppress(OSError):
            self._file.close()
        self._path.unlink(missing_ok=True)
