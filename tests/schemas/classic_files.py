"""What tests of the classic form share: sinks that keep what they get, our own files, and the samples if present."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from schemas.classic_reader import ClassicMessage, read_classic
from schemas.limits import DEFAULT_LIMITS, Limits
from schemas.namespaces import QCVN

VECTORS = Path(__file__).parents[1] / "vectors" / "classic"
#: Present beside the project where its whole working place is; the project's own vectors cover the same ground.
SAMPLES = Path(__file__).parents[3] / "shared" / "samples"

UUID = "7b1c2f0e-5d1a-4b52-9d0f-2f6b4f3a1c01"


@dataclass
class Sink:
    """Keeps what it gets, and how it ended."""

    index: int
    data: bytearray = field(default_factory=bytearray)
    ending: str = "open"

    def write(self, data: bytes) -> None:
        assert self.ending == "open"
        self.data += data

    def close(self) -> None:
        assert self.ending == "open"
        self.ending = "closed"

    def discard(self) -> None:
        assert self.ending == "open"
        self.ending = "discarded"


@dataclass
class Sinks:
    """Every sink that was asked for."""

    all: list[Sink] = field(default_factory=list)

    def open(self, index: int) -> Sink:
        self.all.append(Sink(index))
        return self.all[-1]

    @property
    def contents(self) -> list[bytes]:
        """What the closed sinks hold, by index."""
        closed = [sink for sink in self.all if sink.ending == "closed"]
        assert [sink.index for sink in closed] == list(range(len(closed)))
        return [bytes(sink.data) for sink in closed]


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def read(
    data: bytes, *, size: int = 1000, limits: Limits = DEFAULT_LIMITS, source: str = "test.edxml"
) -> tuple[ClassicMessage, list[bytes]]:
    """The message in `data`, fed in pieces of `size` bytes, and its attachments' bytes."""
    sinks = Sinks()
    message = read_classic(pieces(data, size), sinks.open, limits=limits, source=source)
    assert all(sink.ending != "open" for sink in sinks.all)
    return message, sinks.contents


def codes(message: ClassicMessage) -> list[str]:
    return [finding.code for finding in message.warnings]


def zipped(name: str, data: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of one entry, as Python's zipfile writes it into a file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(zipfile.ZipInfo(name, (2026, 11, 20, 8, 0, 0)), data, compress_type=method)
    return buffer.getvalue()


def attachment(name: str | None, content: bytes | str, content_type: str = "application/zip", *, last: str = "") -> str:
    """An Attachment element; `content` is encoded unless it is text already. `last` stands after the content."""
    text = content if isinstance(content, str) else base64.b64encode(content).decode()
    named = f"<AttachmentName>{name}</AttachmentName>" if name is not None else ""
    return (
        f"<Attachment><ContentId>cid:1</ContentId>{named}<Description>x</Description>"
        f"<ContentType>{content_type}</ContentType>"
        f"<ContentTransferEncoded>{text}</ContentTransferEncoded>{last}</Attachment>"
    )


def document(*attachments: str, header: str = "", to: str = "<To><OrganId>H26</OrganId></To>") -> bytes:
    """The least of a document with these Attachment elements, and `header` more in its MessageHeader."""
    return (
        f'<edXML xmlns="{QCVN}"><edXMLEnvelope><edXMLHeader><MessageHeader><From><OrganId>H53</OrganId></From>{to}'
        f"<DocumentId>H53,2026/11/18,2045/UBND-NC</DocumentId>{header}</MessageHeader></edXMLHeader></edXMLEnvelope>"
        f"<AttachmentEncoded>{''.join(attachments)}</AttachmentEncoded></edXML>"
    ).encode()


def edited(data: bytes, edit: Callable[[str], str]) -> bytes:
    """`data` with its text changed, which must have changed."""
    text = data.decode()
    changed = edit(text)
    assert changed != text
    return changed.encode()
