"""The parts of decoding by themselves, fed in pieces as small as they come."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path

import pytest

from schemas import zip_writer
from schemas.attachment_content import AttachmentContent
from schemas.attachment_sink import AttachmentBudget
from schemas.base64_stream import Base64Decoder
from schemas.errors import LimitExceeded, MalformedMessage
from schemas.limits import DEFAULT_LIMITS, KIB, Limits
from schemas.zip_records import DEFLATED, DESCRIPTOR_FLAG, EntryHeader, read_local_header
from schemas.zip_stream import SingleEntryZip
from tests.schemas.classic_files import UUID, Sinks, pieces, zipped
from tests.schemas.test_classic_attachments import DATA, FORMS

#: More than 4 GiB, which no test wants to write out.
HUGE = 5 << 30


def unzipped(archive: bytes, size: int, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The entry of `archive`, which is fed in pieces of `size` bytes."""
    header = read_local_header(archive)
    assert header is not None
    parts: list[bytes] = []
    stream = SingleEntryZip(header, parts.append, limits)
    for piece in pieces(archive[header.length :], size):
        stream.feed(piece)
    stream.finish()
    assert stream.size == sum(map(len, parts))
    return b"".join(parts)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 3, 25, 64])
@pytest.mark.parametrize(
    "data", [b"", DATA, b"PK\x07\x08" * 40, b"x" * 60 + b"PK\x07"], ids=["empty", "text", "PK", "P"]
)
def test_an_entry_comes_out_of_small_pieces(form: str, size: int, data: bytes) -> None:
    """Headers, descriptors and directories may be cut anywhere."""
    assert unzipped(FORMS[form]("a.bin", data), size) == data


def test_a_local_header_is_waited_for() -> None:
    """A header that has not arrived whole is none yet."""
    archive = zipped("tên dài.bin", DATA)
    length = 30 + len("tên dài.bin".encode())
    assert read_local_header(archive[: length - 1]) is None
    header = read_local_header(archive[:length])
    assert header is not None
    assert (header.text_name, header.length) == ("tên dài.bin", length)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("text", ["QUJD\nREVG", "QQ==", "QUI=", "QUI", "-_-_", ""])
def test_base64_may_be_cut_anywhere(text: str, size: int) -> None:
    """Groups, padding and line ends may fall apart between pieces."""
    expected = {"QUJD\nREVG": b"ABCDEF", "QQ==": b"A", "QUI=": b"AB", "QUI": b"AB", "-_-_": b"\xfb\xff\xbf", "": b""}
    decoder = Base64Decoder()
    decoded = b"".join(decoder.decode(text[start : start + size], 1) for start in range(0, len(text), size))
    assert decoded + decoder.finish(1) == expected[text]
    assert decoder.unpadded == (text == "QUI")


def decoded_by_letters(text: str) -> bytes:
    decoder = Base64Decoder()
    return b"".join(decoder.decode(letter, 1) for letter in text) + decoder.finish(1)


@pytest.mark.parametrize("text", ["QU*D", "QUéD", "QUJDR", "QQ==Q", "QQ=Q", "QUJD=", "QQ==="])
def test_damaged_base64_is_found_between_pieces(text: str) -> None:
    """One character at a time, damage is still damage."""
    with pytest.raises(MalformedMessage):
        decoded_by_letters(text)


def test_the_character_that_is_no_base64_is_named_when_it_comes() -> None:
    """The error names the character itself, in its line, though its group is not complete yet."""
    decoder = Base64Decoder()
    decoder.decode("QU", 6)
    with pytest.raises(MalformedMessage, match=r"holds '\*'") as caught:
        decoder.decode("\n*", 6)
    assert caught.value.line == 7


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.pdf", zipped(f"{UUID}.pdf", DATA), DATA),
        ("a.zip", zipped(f"{UUID}.zip", DATA), DATA),
        ("a.zip", zipped("1.pdf", DATA), zipped("1.pdf", DATA)),
        ("a.pdf", b"PK\x03", b"PK\x03"),
        ("a.pdf", b"%PDF", b"%PDF"),
    ],
)
def test_the_first_bytes_may_come_one_by_one(name: str, content: bytes, expected: bytes) -> None:
    """What a content is, is decided only when enough of it is there."""

    sinks = Sinks()
    decoder = AttachmentContent(name, lambda: sinks.open(0), DEFAULT_LIMITS, AttachmentBudget(DEFAULT_LIMITS))
    for letter in base64.b64encode(content).decode():
        decoder.feed(letter, 1)
    decoder.finish(1)
    assert decoder.settle(name).size == len(expected)
    assert sinks.contents == [expected]


def test_a_bomb_in_one_piece_stops_at_its_limit() -> None:
    """40 MB in one compressed piece of 40 KB: no more comes out than the ratio allows, in steps that cost little."""
    archive = zipped("a.bin", bytes(40_000 * KIB))
    header = read_local_header(archive)
    assert header is not None
    parts: list[int] = []
    stream = SingleEntryZip(header, lambda data: parts.append(len(data)), DEFAULT_LIMITS)
    with pytest.raises(LimitExceeded):
        stream.feed(archive[header.length :])
    assert max(parts) <= 256 * KIB
    assert sum(parts) < 17_000 * KIB


def test_what_follows_an_entry_without_end_is_refused() -> None:
    """A directory of one entry is small: what claims to be one and goes on is refused, and not kept."""
    archive = zipped("a.bin", DATA)
    header = read_local_header(archive)
    assert header is not None
    stream = SingleEntryZip(header, lambda _data: None, DEFAULT_LIMITS)
    stream.feed(archive[header.length :])
    for _ in range(5):
        stream.feed(bytes(100 * KIB))
    with pytest.raises(MalformedMessage) as caught:
        stream.feed(bytes(100 * KIB))
    assert caught.value.code == "zip-damaged"


def huge_tail(crc: int) -> bytes:
    """What our writer puts behind an entry of 5 GiB."""
    descriptor = zip_writer._descriptor(crc, HUGE, HUGE)
    directory = zip_writer._central_header(b"a.bin", crc, HUGE, HUGE)
    return descriptor + directory + zip_writer._end(35 + HUGE + len(descriptor), len(directory))


@pytest.mark.parametrize(("crc", "sound"), [(77, True), (78, False)])
def test_an_entry_of_more_than_4_gib_is_checked_by_its_zip64_records(crc: int, sound: bool) -> None:
    """Our reader understands what our writer says of such an entry, and notices a wrong checksum there too."""
    header = EntryHeader(name=b"a.bin", flags=DESCRIPTOR_FLAG, method=DEFLATED, crc=0, packed_size=0, size=0, length=35)
    stream = SingleEntryZip(header, lambda _data: None, DEFAULT_LIMITS)
    stream.size, stream._packed, stream._crc, stream._entry_ended = HUGE, HUGE, 77, True
    if sound:
        stream.feed(huge_tail(crc))
        stream.finish()
        return
    with pytest.raises(MalformedMessage):
        stream.feed(huge_tail(crc))


def test_pythons_zipfile_finds_an_entry_of_more_than_4_gib(tmp_path: Path) -> None:
    """A sparse file with our records around 5 GiB of nothing opens elsewhere, with the right size and place."""
    path = tmp_path / "huge.zip"
    local = next(iter(zip_writer.single_entry_zip("a.bin", [], HUGE)))
    with path.open("wb") as file:
        file.write(local)
        file.seek(len(local) + HUGE)
        descriptor = zip_writer._descriptor(77, HUGE, HUGE)
        directory = zip_writer._central_header(b"a.bin", 77, HUGE, HUGE)
        file.write(descriptor + directory + zip_writer._end(len(local) + HUGE + len(descriptor), len(directory)))
    with zipfile.ZipFile(path) as archive:
        (entry,) = archive.infolist()
        assert (entry.filename, entry.file_size, entry.compress_size, entry.CRC) == ("a.bin", HUGE, HUGE, 77)
        assert entry.header_offset == 0
        with archive.open(entry):
            pass


def test_our_archive_is_one_to_others() -> None:
    """Python's zipfile tests it intact, in pieces that pack well and badly by turns."""
    data = [bytes(300 * KIB), DATA * 100, bytes(20_000 * KIB), DATA]
    made = b"".join(zip_writer.single_entry_zip("a.bin", data, sum(map(len, data))))
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.testzip() is None
        assert archive.read("a.bin") == b"".join(data)
