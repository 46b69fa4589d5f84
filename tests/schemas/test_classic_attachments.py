"""Contents of the classic form: ZIP or plain, told apart by their bytes and names, and taken out without loss."""

from __future__ import annotations

import base64
import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.classic_reader import ClassicMessage
from schemas.errors import MalformedMessage
from tests.schemas.classic_files import UUID, attachment, codes, document, read, zipped

DATA = "Đơn vị;Số hồ sơ\n".encode() * 50
DOCX_ENTRIES = ("[Content_Types].xml", "word/document.xml")


def archive(*names: str, data: bytes = DATA) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name in names:
            made.writestr(name, data)
    return buffer.getvalue()


class Unseekable(io.BytesIO):
    """A pipe: Python's zipfile then writes data descriptors."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise io.UnsupportedOperation

    def seek(self, *_arguments: object) -> int:
        raise io.UnsupportedOperation


def described(name: str, data: bytes, method: int) -> bytes:
    """An archive whose sizes follow the entry, as a pipe forces it."""
    buffer = Unseekable()
    with zipfile.ZipFile(buffer, "w", method) as made:
        made.writestr(name, data)
    return buffer.getvalue()


def zip64(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made, made.open(name, "w", force_zip64=True) as entry:
        entry.write(data)
    return buffer.getvalue()


def zip64_described(name: str, data: bytes) -> bytes:
    """An archive whose descriptor has sizes of eight bytes."""
    buffer = Unseekable()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made, made.open(name, "w", force_zip64=True) as entry:
        entry.write(data)
    return buffer.getvalue()


def unsigned_descriptor(name: str, data: bytes) -> bytes:
    """A descriptor without its optional signature (APPNOTE 4.3.9.3), written by hand."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    raw_name, crc = name.encode(), zlib.crc32(data)
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 8, 8, 0, 33, 0, 0, 0, len(raw_name), 0) + raw_name
    body = local + packed + struct.pack("<III", crc, len(packed), len(data))
    fixed = (0x02014B50, 20, 20, 8, 8, 0, 33, crc, len(packed), len(data), len(raw_name), 0, 0, 0, 0, 0, 0)
    directory = struct.pack("<IHHHHHHIIIHHHHHII", *fixed) + raw_name
    return body + directory + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(directory), len(body), 0)


def with_comment(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr(name, data)
        made.comment = "viết bởi phần mềm cũ".encode()
    return buffer.getvalue()


FORMS: dict[str, Callable[[str, bytes], bytes]] = {
    "deflated": zipped,
    "stored": lambda name, data: zipped(name, data, zipfile.ZIP_STORED),
    "deflated, descriptor": lambda name, data: described(name, data, zipfile.ZIP_DEFLATED),
    "stored, descriptor": lambda name, data: described(name, data, zipfile.ZIP_STORED),
    "descriptor without signature": unsigned_descriptor,
    "zip64": zip64,
    "zip64, descriptor": zip64_described,
    "comment": with_comment,
}


def taken_out(name: str | None, content: bytes, *, size: int = 1000, last: str = "") -> tuple[ClassicMessage, bytes]:
    message, contents = read(document(attachment(name, content, last=last)), size=size)
    (only,) = contents
    return message, only


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 977, 1_000_000])
@pytest.mark.parametrize(
    "data",
    [b"", DATA, b"PK\x07\x08" * 40, zipped("a.csv", DATA), described("a.csv", DATA, zipfile.ZIP_STORED)],
    ids=["empty", "text", "false descriptors", "a zip", "a zip with a descriptor"],
)
def test_every_form_of_archive_gives_back_its_entry(form: str, size: int, data: bytes) -> None:
    """Stored or deflated, sizes before or after, 32 or 64 bits, with a comment: the entry comes out byte for byte."""
    message, content = taken_out("Bảng tổng hợp.bin", FORMS[form](f"{UUID}.bin", data), size=size)
    assert content == data
    assert message.attachments[0].wrapped


@pytest.mark.parametrize("name", ["Tờ trình.pdf", "Phụ lục số 1.csv", "BÁO CÁO.xlsx"])
def test_an_entry_with_a_unicode_name_is_read(name: str) -> None:
    """The name inside the ZIP does not matter to the bytes, whatever its letters."""
    assert taken_out(name, zipped(name, DATA))[1] == DATA


PLAIN_OR_WRAPPED = [
    # A document of an office suite is a ZIP itself: what it is shows in its first entry.
    ("Dự thảo.docx", archive(*DOCX_ENTRIES), None),
    ("Dự thảo.docx", zipped(f"{UUID}.docx", archive(*DOCX_ENTRIES)), archive(*DOCX_ENTRIES)),
    ("Dự thảo.DOCX", zipped("Dự thảo.docx", archive(*DOCX_ENTRIES)), archive(*DOCX_ENTRIES)),
    ("Bảng tính.ods", zipped("mimetype", b"application/vnd.oasis.opendocument.spreadsheet"), None),
    # An archive is taken as it is, unless it was wrapped as every other file.
    ("Hồ sơ.zip", archive("1.pdf", "2.pdf"), None),
    ("Hồ sơ.zip", archive("1.pdf"), None),
    ("Hồ sơ.ZIP", archive("1.pdf"), None),
    ("Hồ sơ.zip", archive("folder/1.pdf"), None),
    ("Hồ sơ.zip", zipped("inner.zip", archive("1.pdf")), None),
    ("Hồ sơ.zip", zipped(f"{UUID}.zip", archive("1.pdf")), archive("1.pdf")),
    ("Hồ sơ.ZIP", zipped(f"{UUID}.zip", archive("1.pdf")), archive("1.pdf")),
    ("Hồ sơ.zip", archive(f"{UUID}.zip", f"{UUID[:-1]}2.zip"), None),
    ("Hồ sơ.zip", archive(), None),
    ("Hồ sơ.zip", b"PK\x03\x04 no archive at all", None),
    ("Hồ sơ.zip", zipped(f"{UUID}.zip", archive("1.pdf"))[:-9], None),
    # Anything else that begins as a ZIP was wrapped.
    ("Quyết định.pdf", zipped("Quyet dinh.pdf", DATA), DATA),
    ("Không có đuôi", zipped(f"{UUID}.unk", DATA), DATA),
    # And what does not begin as one was not.
    ("Quyết định.pdf", DATA, None),
    ("Quyết định.pdf", b"", None),
    ("Quyết định.pdf", b"PK", None),
]


@pytest.mark.parametrize(("name", "content", "unwrapped"), PLAIN_OR_WRAPPED)
@pytest.mark.parametrize("name_comes_last", [False, True])
def test_a_wrapping_is_taken_off_and_an_archive_that_is_meant_is_not(
    name: str, content: bytes, unwrapped: bytes | None, name_comes_last: bool
) -> None:
    """The same bytes come out wherever the name stands; `unwrapped` is None where the content is the file itself."""
    if name_comes_last:
        message, taken = taken_out(None, content, last=f"<AttachmentName>{name}</AttachmentName>")
    else:
        message, taken = taken_out(name, content)
    assert taken == (content if unwrapped is None else unwrapped)
    assert message.attachments[0].wrapped == (unwrapped is not None)
    assert message.attachments[0].size == len(taken)


@pytest.mark.parametrize("name_comes_last", [False, True])
def test_two_files_in_one_wrapping_are_refused(name_comes_last: bool) -> None:
    """A second entry would be lost without a word; the error says how an archive is sent that is meant."""
    content = archive("a.pdf", "b.pdf")
    last = "<AttachmentName>a.pdf</AttachmentName>" if name_comes_last else ""
    with pytest.raises(MalformedMessage) as caught:
        taken_out(None if name_comes_last else "a.pdf", content, last=last)
    assert caught.value.code == "zip-several-entries"


def encrypted() -> bytes:
    made = bytearray(zipped(f"{UUID}.pdf", DATA))
    made[6] |= 1
    return bytes(made)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (encrypted(), "zip-encrypted"),
        (zipped(f"{UUID}.pdf", DATA, zipfile.ZIP_BZIP2), "zip-method-unknown"),
        (zipped("../a.pdf", DATA), "entry-name-unsafe"),
        (zipped("..\\a.pdf", DATA), "entry-name-unsafe"),
        (zipped("/a.pdf", DATA), "entry-name-unsafe"),
        (zipped("a..pdf", DATA), "entry-name-unsafe"),
        (zipped("folder/", b""), "entry-name-unsafe"),
        (archive(f"{UUID}.pdf") + b"\0", "zip-damaged"),
        (zipped(f"{UUID}.pdf", DATA).replace(b"PK\x01\x02", b"PK\x01\x03"), "zip-damaged"),
        (b"PK\x03\x04" + bytes(10), "zip-damaged"),
    ],
)
def test_an_archive_that_cannot_be_trusted_is_refused(content: bytes, code: str) -> None:
    """Encryption, rare methods, path names and damage each have their own refusal."""
    with pytest.raises(MalformedMessage) as caught:
        taken_out("a.pdf", content)
    assert caught.value.code == code


#: Offsets of fields in a local header and in a central one (APPNOTE 4.3.7, 4.3.12).
LOCAL = {"method": 8, "checksum": 14, "packed size": 18, "size": 22, "name": 30}
CENTRAL = {"method": 10, "checksum": 16, "packed size": 20, "size": 24, "name": 46}


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
@pytest.mark.parametrize(
    ("header", "field"), [("local", name) for name in LOCAL] + [("central", name) for name in CENTRAL]
)
def test_a_header_that_lies_is_refused(method: int, header: str, field: str) -> None:
    """Each figure that stands twice must be the same twice and true: readers differ on which one they believe."""
    whole = zipped(f"{UUID}.pdf", DATA, method)
    at = LOCAL[field] if header == "local" else whole.index(b"PK\x01\x02") + CENTRAL[field]
    lying = bytearray(whole)
    lying[at] ^= 8 if field == "method" else 1
    with pytest.raises(MalformedMessage) as caught:
        taken_out("a.pdf", bytes(lying))
    assert caught.value.code == "zip-damaged"


def test_a_directory_with_a_second_entry_is_refused() -> None:
    """An entry that stands only in the directory is seen by readers that begin at the end."""
    whole = zipped(f"{UUID}.pdf", DATA)
    begin, end = whole.index(b"PK\x01\x02"), whole.index(b"PK\x05\x06")
    with pytest.raises(MalformedMessage) as caught:
        taken_out("a.pdf", whole[:end] + whole[begin:end] + whole[end:])
    assert caught.value.code == "zip-several-entries"


@given(place=st.integers(min_value=0), flip=st.integers(1, 255))
@pytest.mark.parametrize("form", ["deflated", "stored, descriptor", "zip64"])
def test_a_changed_byte_never_gives_other_content(form: str, place: int, flip: int) -> None:
    """A ZIP with one byte changed is refused, or gives the same bytes: no damage passes as content."""
    whole = FORMS[form](f"{UUID}.pdf", DATA)
    damaged = bytearray(whole)
    damaged[place % len(whole)] ^= flip
    try:
        message, content = taken_out("a.pdf", bytes(damaged))
    except MalformedMessage:
        return
    if message.attachments[0].wrapped:
        assert content == DATA
    else:
        # The first four bytes changed: the content is then no ZIP, and is handed on as what it is.
        assert place % len(whole) < 4
        assert content == bytes(damaged)


@given(cut=st.integers(min_value=4))
@pytest.mark.parametrize("form", ["deflated", "stored", "deflated, descriptor", "stored, descriptor", "zip64"])
def test_a_truncated_archive_is_refused(form: str, cut: int) -> None:
    """Wherever it breaks off after its first bytes, a ZIP gives no content."""
    whole = FORMS[form](f"{UUID}.pdf", DATA)
    with pytest.raises(MalformedMessage):
        taken_out("a.pdf", whole[: 4 + cut % (len(whole) - 4)])


@given(data=st.binary(max_size=200), width=st.integers(1, 80), url_safe=st.booleans(), padded=st.booleans())
def test_any_usual_base64_is_read(data: bytes, width: int, url_safe: bool, padded: bool) -> None:
    """Lines of any width, either alphabet, padded or not (which is reported): the bytes are the same."""
    data = b"x" + data
    text = (base64.urlsafe_b64encode(data) if url_safe else base64.b64encode(data)).decode()
    needs_padding = text.endswith("=")
    text = text if padded else text.rstrip("=")
    lines = "\r\n\t".join(text[start : start + width] for start in range(0, len(text), width))
    message, contents = read(document(attachment("a.bin", lines, "application/octet-stream")), size=13)
    assert contents == [data]
    assert ("base64-unpadded" in codes(message)) == (needs_padding and not padded)


def test_content_in_cdata_and_around_comments_is_read() -> None:
    """CDATA, comments and character references in a content change nothing."""
    text = base64.b64encode(DATA).decode()
    dressed = f"<![CDATA[{text[:40]}]]><!-- {'x' * 90} -->&#{ord(text[40])};{text[41:]}"
    _, contents = read(document(attachment("a.bin", dressed, "text/plain")))
    assert contents == [DATA]


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("QUJD\nRE*V", "base64-damaged", 2),
        ("QUJD\n\n\nRE=V", "base64-damaged", 4),
        ("QUJD\nREé", "base64-damaged", 2),
        ("QUJDR\n", "base64-truncated", 2),
        ("QUJD\n=", "base64-damaged", 2),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_damaged_base64_is_refused_in_its_line(text: str, code: str, line: int, size: int) -> None:
    """The line is that of the damage, not that of the element, however the bytes arrive."""
    with pytest.raises(MalformedMessage) as caught:
        read(document(attachment("a.bin", text, "text/plain")), size=size)
    assert (caught.value.code, caught.value.line) == (code, line)


MISREAD = [
    ("a.pdf", "application/zip", zipped(f"{UUID}.pdf", DATA), None),
    ("a.pdf", "application/pdf", DATA, None),
    ("a.zip", "application/zip", archive("1.pdf"), None),
    ("a.pdf", "application/zip", DATA, "content-not-wrapped"),
    ("a.pdf", "application/pdf", zipped(f"{UUID}.pdf", DATA), "content-wrapped"),
    ("a.ZIP", "application/zip", archive("1.pdf"), "content-not-wrapped"),
    ("a.zip", "application/zip", zipped(f"{UUID}.zip", archive("1.pdf")), "content-wrapped"),
]


@pytest.mark.parametrize(("name", "content_type", "content", "finding"), MISREAD)
def test_what_strict_receivers_misread_is_reported(
    name: str, content_type: str, content: bytes, finding: str | None
) -> None:
    """A finding exactly where VNPT's rule (unwrap `application/zip` unless named .zip) gives other bytes than ours."""
    message, _ = read(document(attachment(name, content, content_type)))
    found = [one for one in message.warnings if one.code.startswith("content-")]
    assert [one.code for one in found] == ([finding] if finding else [])
    assert all(one.strict_refuses for one in found)


def test_two_wrappings_with_one_entry_name_are_both_read_and_reported() -> None:
    """VNPT's reader overwrites one file with the other; here both come out, with a finding."""
    first, second = attachment("a.csv", zipped("x.csv", b"1")), attachment("b.csv", zipped("x.csv", b"2"))
    message, contents = read(document(first, second))
    assert contents == [b"1", b"2"]
    assert "entry-name-repeated" in codes(message)
