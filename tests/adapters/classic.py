"""Classic edXML files for tests, written by the project's own strict writer."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
from collections.abc import Iterator, Mapping

from schemas.classic_writer import AttachmentSource, write_classic
from schemas.message import Message
from tests.adapters.simulator import reference
from tests.schemas.samples import DOCUMENT


def classic(attachments: Mapping[str, bytes], **changes: object) -> bytes:
    """A classic document from G22 to H23 and H31 with `attachments`, some of its fields changed."""
    document = dataclasses.replace(
        DOCUMENT, references=tuple(reference(name, content) for name, content in attachments.items()), **changes
    )
    return classic_bytes(document, attachments)


def classic_bytes(message: Message, attachments: Mapping[str, bytes]) -> bytes:
    parts: list[bytes] = []
    write_classic(message, [_source(name, content) for name, content in attachments.items()], parts.append)
    return b"".join(parts)


def _source(name: str, content: bytes) -> AttachmentSource:
    @contextlib.contextmanager
    def opened() -> Iterator[io.BytesIO]:
        yield io.BytesIO(content)

    return AttachmentSource(
        content_id="sha256-" + hashlib.sha256(content).hexdigest(),
        name=name,
        description=name,
        size=len(content),
        open=opened,
    )
