"""Limits of the classic reader: they hold while the file is decoded, not after, and memory does not follow its size."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.classic_reader import read_classic
from schemas.errors import LimitExceeded
from schemas.limits import DEFAULT_LIMITS, KIB, MIB, Limits
from schemas.namespaces import QCVN
from schemas.zip_stream import RATIO_FREE
from tests.schemas.classic_files import UUID, Sinks, attachment, document, pieces, read, zipped

HEADER = f'<edXML xmlns="{QCVN}"><edXMLEnvelope><edXMLHeader><MessageHeader>'


class Endless:
    """A file that does not end; `taken` counts the bytes that were asked of it."""

    def __init__(self, beginning: str, repeated: str) -> None:
        self.taken = 0
        self._beginning = beginning.encode()
        self._repeated = repeated.encode() * (4096 // len(repeated.encode()) + 1)

    def __iter__(self) -> Iterator[bytes]:
        self.taken += len(self._beginning)
        yield self._beginning
        while True:
            self.taken += len(self._repeated)
            yield self._repeated


#: A file up to the middle of an attachment's content.
CONTENT = document(attachment("a.bin", "QUJD", "text/plain")).decode().partition("</ContentTransferEncoded>")[0]

BOUNDED: list[tuple[str, Endless, Limits, str]] = [
    (
        "file",
        Endless(CONTENT, "QUJD"),
        Limits(message_bytes=64 * KIB),
        "message-too-large",
    ),
    ("comments", Endless(HEADER, "<!-- x -->"), Limits(envelope_bytes=64 * KIB), "message-too-large"),
    ("one comment", Endless(HEADER + "<!--", " x"), Limits(envelope_bytes=64 * KIB), "message-too-large"),
    ("one attribute", Endless(HEADER + '<From a="', "x"), Limits(envelope_bytes=64 * KIB), "message-too-large"),
    ("blanks", Endless(HEADER, "\n"), Limits(envelope_bytes=64 * KIB), "message-too-large"),
    ("elements", Endless(HEADER, "<x/>"), Limits(elements=5000), "too-many-elements"),
    ("foreign elements", Endless(HEADER + '<y xmlns="urn:x">', "<x/>"), Limits(elements=5000), "too-many-elements"),
    ("depth", Endless(HEADER, "<x><y>"), Limits(depth=32), "too-deep"),
    ("foreign depth", Endless(HEADER + '<y xmlns="urn:x">', "<x>"), Limits(depth=32), "too-deep"),
    ("recipients", Endless(HEADER, "<To/>"), Limits(recipients=100), "too-many-recipients"),
    ("text", Endless(HEADER + "<Subject>", "ế"), Limits(text_bytes=10 * KIB), "text-too-long"),
    ("text in crumbs", Endless(HEADER + "<Subject>", "&amp;"), Limits(text_bytes=10 * KIB), "text-too-long"),
    ("text around elements", Endless(HEADER, "x<y/>"), Limits(text_bytes=1 * KIB), "text-too-long"),
]


@pytest.mark.parametrize(("file", "limits", "code"), [case[1:] for case in BOUNDED], ids=[case[0] for case in BOUNDED])
def test_reading_stops_at_the_limit(file: Endless, limits: Limits, code: str) -> None:
    """A file without end is refused after little more than what the limit allows was asked for."""
    with pytest.raises(LimitExceeded) as caught:
        read_classic(file, Sinks().open, limits=limits, source="endless.edxml")
    assert caught.value.code == code
    assert caught.value.source == "endless.edxml"
    assert caught.value.line is not None
    assert file.taken < 256 * KIB


@pytest.mark.parametrize("beginning", [CONTENT + "<!--", CONTENT + "<![CDATA[", CONTENT + "<x a='"])
def test_what_the_parser_holds_back_is_bounded(beginning: str) -> None:
    """A comment, CDATA section or tag without end inside a content, where much text is usual, stops at 8 MiB."""
    file = Endless(beginning, "QUJD")
    with pytest.raises(LimitExceeded) as caught:
        read_classic(file, Sinks().open, limits=Limits(envelope_bytes=64 * MIB), source="endless.edxml")
    assert caught.value.code == "token-too-long"
    assert file.taken < 9 * MIB


def test_one_more_attachment_than_allowed_opens_no_sink() -> None:
    """The fourth of three attachments is refused before its content is looked at."""
    sinks = Sinks()
    data = document(*[attachment("a.bin", "QUJD", "text/plain")] * 4)
    with pytest.raises(LimitExceeded) as caught:
        read_classic([data], sinks.open, limits=Limits(attachments=3), source="x")
    assert caught.value.code == "too-many-attachments"
    assert [sink.ending for sink in sinks.all] == ["closed"] * 3
    assert len(read(document(*[attachment("a.bin", "QUJD", "text/plain")] * 3), limits=Limits(attachments=3))[1]) == 3


LIMIT = 100 * KIB
BOMB = bytes(40 * MIB)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.bin", bytes(LIMIT + 1)),
        ("deflated.bin", zipped(f"{UUID}.bin", BOMB)),
        ("stored.bin", zipped(f"{UUID}.bin", bytes(LIMIT + 1), 0)),
        ("archive.zip", zipped("1.bin", bytes(LIMIT), 0)),
    ],
)
def test_a_sink_gets_no_byte_beyond_the_limit(name: str, content: bytes) -> None:
    """Plain, deflated or stored: the sink is full at most, then discarded, and the error says which limit."""
    sinks = Sinks()
    with pytest.raises(LimitExceeded) as caught:
        read_classic(
            pieces(document(attachment(name, content)), 4096),
            sinks.open,
            limits=Limits(attachment_bytes=LIMIT),
            source="bomb.edxml",
        )
    assert caught.value.code == "attachment-too-large"
    assert caught.value.element == "AttachmentEncoded/Attachment/ContentTransferEncoded"
    assert [sink.ending for sink in sinks.all] == ["discarded"]
    assert len(sinks.all[0].data) <= LIMIT


def test_an_attachment_of_exactly_the_limit_is_read() -> None:
    """The limit is what is allowed, not one less."""
    for content in (bytes(LIMIT), zipped(f"{UUID}.bin", bytes(LIMIT))):
        _, contents = read(document(attachment("a.bin", content)), limits=Limits(attachment_bytes=LIMIT), size=4096)
        assert contents == [bytes(LIMIT)]


def test_attachments_together_stay_within_their_limit() -> None:
    """Three attachments within the limit of one are refused where together they break that of the message."""
    sinks = Sinks()
    three = [attachment(f"{number}.bin", zipped(f"{UUID}.bin", bytes(1000))) for number in range(3)]
    with pytest.raises(LimitExceeded) as caught:
        read_classic([document(*three)], sinks.open, limits=Limits(message_attachment_bytes=2999), source="x")
    assert caught.value.code == "attachments-too-large"
    assert sum(len(sink.data) for sink in sinks.all) <= 2999
    assert len(read(document(*three), limits=Limits(message_attachment_bytes=3000))[1]) == 3


def test_a_bomb_is_stopped_by_its_ratio() -> None:
    """Zeros deflated a thousandfold are refused soon after the size from which the ratio counts, by default."""
    sinks = Sinks()
    bomb = zipped(f"{UUID}.bin", BOMB)
    with pytest.raises(LimitExceeded) as caught:
        read_classic(pieces(document(attachment("a.bin", bomb)), 4096), sinks.open, source="bomb.edxml")
    assert caught.value.code == "inflation-ratio"
    assert RATIO_FREE - MIB < len(sinks.all[0].data) < RATIO_FREE + MIB
    assert len(BOMB) / len(bomb) > DEFAULT_LIMITS.inflation_ratio


def test_a_small_file_may_shrink_as_it_likes() -> None:
    """A form of empty cells, a thousand times smaller when packed, is no bomb."""
    content = bytes(8 * MIB)
    assert read(document(attachment("a.bin", zipped(f"{UUID}.bin", content))), size=100_000)[1] == [content]


def test_a_bomb_that_may_be_an_archive_is_kept_as_it_is() -> None:
    """A `.zip` that is wrapped like a bomb is handed on packed: its bytes are small, and nobody unpacked them."""
    bomb = zipped(f"{UUID}.zip", BOMB)
    sinks = Sinks()
    read_classic([document(attachment("a.zip", bomb))], sinks.open, source="x")
    assert sorted(sink.ending for sink in sinks.all) == ["closed", "discarded"]
    assert [bytes(sink.data) for sink in sinks.all if sink.ending == "closed"] == [bomb]


PROGRAM = Path(__file__).with_name("classic_memory.py")


def peak_kib(*arguments: str) -> int:
    """The highest resident memory in KiB of a process of its own that streams one classic file."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return int(done.stdout)


@pytest.mark.parametrize("way", ["read-plain", "read-lines", "read-wrapped", "read-doubtful", "write"])
def test_memory_does_not_grow_with_an_attachment(way: str) -> None:
    """200 MB inside cost at most 8 MiB more than 2 MB do: less than a twentieth of the attachment."""
    small, large = peak_kib(way, "2"), peak_kib(way, "200")
    assert large - small < 8 * KIB


def test_memory_does_not_grow_with_a_refused_file() -> None:
    """A comment, a text and a CDATA section of 200 MB are refused in the memory of a small file."""
    small = peak_kib("read-plain", "2")
    for way in ("refuse-comment", "refuse-text", "refuse-cdata", "refuse-bomb"):
        assert peak_kib(way, "200") - small < 48 * KIB


def test_the_measure_of_memory_sees_a_copy() -> None:
    """The same program with the file held in a list shows it: the tests above would fail if the reader did so."""
    assert peak_kib("hold", "200") - peak_kib("hold", "2") > 150 * KIB


def test_incompressible_and_compressible_stretches_decode_alike() -> None:
    """Pieces that inflate to much more than they take do not lose a byte at the edges."""
    content = os.urandom(100_000) + bytes(3 * MIB) + os.urandom(100_000)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    assert len(packer.compress(content) + packer.flush()) < 300_000
    text = base64.encodebytes(zipped(f"{UUID}.bin", content)).decode()
    for size in (1000, 65_536):
        assert read(document(attachment("a.bin", text)), size=size)[1] == [content]
