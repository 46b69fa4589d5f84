"""Streams one classic file of a given size through the reader or the writer; prints the process's peak memory in KiB.

Run by test_classic_limits.py as a process of its own. VmHWM begins anew with each program, while getrusage's maximum
is handed down from the process that started it.
"""

from __future__ import annotations

import base64
import io
import itertools
import random
import sys
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from schemas.classic_reader import read_classic
from schemas.classic_writer import AttachmentSource, write_classic
from schemas.errors import LimitExceeded
from schemas.limits import Limits
from schemas.metadata import AttachmentFacts, document_from_metadata, sender_from_metadata
from schemas.namespaces import QCVN
from schemas.zip_records import (
    CENTRAL_HEADER,
    CENTRAL_LAYOUT,
    END_LAYOUT,
    END_OF_DIRECTORY,
    LOCAL_HEADER,
    LOCAL_LAYOUT,
)
from schemas.zip_writer import single_entry_zip

MEGABYTE = 1_000_000
#: Base64 of a megabyte that does not compress, in one line and in lines of 76 characters.
NOISE = random.Random(5).randbytes(MEGABYTE - MEGABYTE % 3)
LINE = base64.b64encode(NOISE)
LINES = base64.encodebytes(NOISE).replace(b"\n", b"\r\n")

HEADER = (
    f'<edXML xmlns="{QCVN}"><edXMLEnvelope><edXMLHeader><MessageHeader><From><OrganId>H53</OrganId></From>'
    "<To><OrganId>H26</OrganId></To><DocumentId>1</DocumentId>"
)
BODY = "</MessageHeader></edXMLHeader></edXMLEnvelope><AttachmentEncoded><Attachment>"
END = "</ContentTransferEncoded></Attachment></AttachmentEncoded></edXML>"
NAMED = f"{BODY}<AttachmentName>a.bin</AttachmentName><ContentTransferEncoded>"
NAMELESS = f"{BODY}<ContentTransferEncoded>"


class Counted:
    """A sink that keeps nothing."""

    size = 0

    def write(self, data: bytes, /) -> None:
        self.size += len(data)

    def close(self) -> None: ...

    def discard(self) -> None: ...


def in_chunks(parts: Iterator[bytes]) -> Iterator[bytes]:
    for part in parts:
        for start in range(0, len(part), 65_536):
            yield part[start : start + 65_536]


def framed(beginning: str, content: Iterator[bytes], end: str = END) -> Iterator[bytes]:
    return in_chunks(itertools.chain([beginning.encode()], content, [end.encode()]))


def encoded(parts: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for part in parts:
        data = rest + part
        whole = len(data) - len(data) % 3
        rest = data[whole:]
        yield base64.b64encode(data[:whole])
    yield base64.b64encode(rest)


def wrapped(megabytes: int) -> Iterator[bytes]:
    """Base64 of an archive whose deflate stream repeats one block: quick to make, and as long as one of its own."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(NOISE) + packer.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS).flush()
    name, size, packed, crc = b"a.bin", megabytes * len(NOISE), megabytes * len(block) + len(end), 0
    for _ in range(megabytes):
        crc = zlib.crc32(NOISE, crc)
    beginning = LOCAL_HEADER + LOCAL_LAYOUT.pack(20, 0, 8, 0, 33, crc, packed, size, len(name), 0) + name
    directory = CENTRAL_HEADER + CENTRAL_LAYOUT.pack(
        20, 20, 0, 8, 0, 33, crc, packed, size, len(name), 0, 0, 0, 0, 0, 0
    )
    closing = END_OF_DIRECTORY + END_LAYOUT.pack(0, 0, 1, 1, 51, len(beginning) + packed, 0)
    return encoded(itertools.chain([beginning], itertools.repeat(block, megabytes), [end, directory, name, closing]))


def bomb(megabytes: int) -> Iterator[bytes]:
    return encoded(single_entry_zip("a.bin", itertools.repeat(bytes(MEGABYTE), megabytes), megabytes * MEGABYTE))


def read(chunks: Iterator[bytes], expected: int) -> None:
    sinks: list[Counted] = []

    def open_sink(_index: int) -> Counted:
        sinks.append(Counted())
        return sinks[-1]

    message = read_classic(chunks, open_sink, source="memory.edxml")
    if [attachment.size for attachment in message.attachments] != [expected]:
        raise SystemExit("the attachment did not come out")


def refuse(chunks: Iterator[bytes], limits: Limits) -> None:
    try:
        read_classic(chunks, lambda _index: Counted(), limits=limits, source="memory.edxml")
    except LimitExceeded:
        return
    raise SystemExit("the file was not refused")


class Noise(io.RawIOBase):
    """A file of so many megabytes of noise, none of which is stored."""

    def __init__(self, megabytes: int) -> None:
        self._left = megabytes * len(NOISE)

    def read(self, size: int = -1) -> bytes:
        taken = NOISE[: min(size, self._left)]
        self._left -= len(taken)
        return taken


def write(megabytes: int) -> None:
    metadata: dict[str, object] = {
        "from": "H53",
        "to": ["H26"],
        "subject": "x",
        "code": "1/x",
        "place": "x",
        "signer": "x",
        "date": "2026-11-20",
    }
    sender = sender_from_metadata(metadata)
    if sender is None:
        raise SystemExit("no sender")
    facts = AttachmentFacts(name="a.bin", digest="0" * 64, size=0, content_type="x")
    document = document_from_metadata(
        metadata, sender=sender, recipients=(), now=datetime(2026, 11, 20, tzinfo=UTC), attachments=[facts]
    )
    source = AttachmentSource(
        content_id=document.references[0].content_id,
        name="a.bin",
        description="x",
        size=megabytes * len(NOISE),
        open=lambda: Noise(megabytes),
    )
    written = Counted()
    write_classic(document, [source], written.write)
    if written.size < megabytes * len(NOISE):
        raise SystemExit("the attachment was not written")


def run(way: str, megabytes: int) -> None:
    unbounded = Limits(envelope_bytes=1 << 40, text_bytes=1 << 20)
    match way:
        case "read-plain":
            read(framed(HEADER + NAMED, itertools.repeat(LINE, megabytes)), megabytes * len(NOISE))
        case "read-lines":
            read(framed(HEADER + NAMED, itertools.repeat(LINES, megabytes)), megabytes * len(NOISE))
        case "read-wrapped":
            read(framed(HEADER + NAMED, wrapped(megabytes)), megabytes * len(NOISE))
        case "read-doubtful":
            end = END.replace("</Attachment>", "<AttachmentName>a.bin</AttachmentName></Attachment>")
            read(framed(HEADER + NAMELESS, wrapped(megabytes), end), megabytes * len(NOISE))
        case "write":
            write(megabytes)
        case "refuse-comment":
            refuse(framed(HEADER + "<!--", itertools.repeat(LINE, megabytes)), unbounded)
        case "refuse-text":
            refuse(framed(HEADER + "<Subject>", itertools.repeat(LINE, megabytes)), unbounded)
        case "refuse-cdata":
            refuse(framed(HEADER + NAMED + "<![CDATA[", itertools.repeat(LINE, megabytes)), unbounded)
        case "refuse-bomb":
            refuse(framed(HEADER + NAMED, bomb(megabytes)), Limits(attachment_bytes=10 * MEGABYTE))
        case "hold":
            held = list(framed(HEADER + NAMED, itertools.repeat(LINE, megabytes)))
            read(iter(held), megabytes * len(NOISE))
        case _:
            raise SystemExit(f"unknown way {way}")


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]))
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (peak,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    sys.stdout.write(peak)
