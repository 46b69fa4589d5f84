"""What a file is by its bytes: a table of signatures for the kinds that offices exchange, and those that run.

Signatures are those of the formats' own specifications (ISO 32000 7.5.2 for PDF, MS-CFB 2.2, APPNOTE 4.3.7, RFC 2083,
and so on). What has none and is text, is text; the rest is unknown.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """The kind of a file's bytes, as a person would name it."""

    EMPTY = "an empty file"
    PDF = "a PDF file"
    OLE = "an old or a locked Office file"
    ZIP = "a ZIP archive"
    WORD = "a Word file"
    EXCEL = "an Excel file"
    POWERPOINT = "a PowerPoint file"
    MACROS = "an Office file with macros"
    ODT = "an OpenDocument text"
    ODS = "an OpenDocument spreadsheet"
    ODP = "an OpenDocument presentation"
    RTF = "an RTF file"
    RAR = "a RAR archive"
    SEVEN_ZIP = "a 7-Zip archive"
    JPEG = "a JPEG image"
    PNG = "a PNG image"
    GIF = "a GIF image"
    TIFF = "a TIFF image"
    BMP = "a BMP image"
    WEBP = "a WebP image"
    MARKUP = "a markup file"
    TEXT = "a text file"
    PROGRAM = "a program"
    UNKNOWN = "a file of no known kind"


#: Bytes from the start of a file that `kind_of` needs; and from its end, of a ZIP archive.
HEAD: Final = 4096
TAIL: Final = 256 * 1024

_SIGNATURES: Final = (
    (b"MZ", Kind.PROGRAM),
    (b"\x7fELF", Kind.PROGRAM),
    (b"#!", Kind.PROGRAM),
    (b"\xca\xfe\xba\xbe", Kind.PROGRAM),
    (b"\xfe\xed\xfa", Kind.PROGRAM),
    (b"\xcf\xfa\xed\xfe", Kind.PROGRAM),
    (b"\xce\xfa\xed\xfe", Kind.PROGRAM),
    (b"L\x00\x00\x00\x01\x14\x02\x00", Kind.PROGRAM),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind.OLE),
    (b"PK\x03\x04", Kind.ZIP),
    (b"PK\x05\x06", Kind.ZIP),
    (b"{\\rtf", Kind.RTF),
    (b"Rar!\x1a\x07", Kind.RAR),
    (b"7z\xbc\xaf\x27\x1c", Kind.SEVEN_ZIP),
    (b"\xff\xd8\xff", Kind.JPEG),
    (b"\x89PNG\r\n\x1a\n", Kind.PNG),
    (b"GIF87a", Kind.GIF),
    (b"GIF89a", Kind.GIF),
    (b"II*\x00", Kind.TIFF),
    (b"MM\x00*", Kind.TIFF),
)

#: The first entry of an OpenDocument file is stored and says what it is (ODF 1.3 part 2, 3.3).
_OPEN_DOCUMENT: Final = b"mimetypeapplication/vnd.oasis.opendocument."
_OPEN_DOCUMENTS: Final = ((b"text", Kind.ODT), (b"spreadsheet", Kind.ODS), (b"presentation", Kind.ODP))

_OFFICE: Final = ((b"word/", Kind.WORD), (b"xl/", Kind.EXCEL), (b"ppt/", Kind.POWERPOINT))


def kind_of(head: bytes, tail: bytes) -> Kind:
    """The kind of a file that begins with `head` and ends with `tail` (`HEAD` and `TAIL` bytes, or all there are)."""
    if not head:
        return Kind.EMPTY
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return _zip_kind(head, tail) if kind is Kind.ZIP else kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return Kind.WEBP
    # Its two bytes begin many a text: the length and the reserved field behind them do not.
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return Kind.BMP
    if b"%PDF-" in head[:1024]:
        return Kind.PDF
    return _text_kind(head)


def _zip_kind(head: bytes, tail: bytes) -> Kind:
    start = head.find(_OPEN_DOCUMENT, 30, 30 + len(_OPEN_DOCUMENT) + 40)
    if start >= 0:
        said = head[start + len(_OPEN_DOCUMENT) :]
        return next((kind for word, kind in _OPEN_DOCUMENTS if said.startswith(word)), Kind.ZIP)
    names = _entry_names(tail)
    if b"[Content_Types].xml" not in names:
        return Kind.ZIP
    if any(name.lower().endswith(b"vbaproject.bin") for name in names):
        return Kind.MACROS
    return next((kind for folder, kind in _OFFICE if any(name.startswith(folder) for name in names)), Kind.ZIP)


def _entry_names(tail: bytes) -> set[bytes]:
    """The names in the central directory (APPNOTE 4.3.12), as far as it is in `tail`; a damaged one has few."""
    names: set[bytes] = set()
    at = tail.find(b"PK\x01\x02")
    while at >= 0 and at + 46 <= len(tail):
        name, extra, comment = (int.from_bytes(tail[at + place : at + place + 2], "little") for place in (28, 30, 32))
        names.add(tail[at + 46 : at + 46 + name])
        following = at + 46 + name + extra + comment
        # What looks like a header inside packed bytes is followed by none.
        at = tail.find(b"PK\x01\x02", at + 4 if tail[following : following + 2] != b"PK" else following)
    return names


def _text_kind(head: bytes) -> Kind:
    encoding = "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    text = _decoded(head, encoding)
    if text is None:
        return Kind.UNKNOWN
    return Kind.MARKUP if text.lstrip().startswith("<") else Kind.TEXT


def _decoded(head: bytes, encoding: str) -> str | None:
    """`head` as text; None if it is none: it may end within a letter, and hold no control character but spaces."""
    decoder: Callable[..., codecs.IncrementalDecoder] = codecs.getincrementaldecoder(encoding)
    try:
        text = decoder().decode(head)
    except UnicodeDecodeError:
        # Vietnamese offices keep texts in the encodings of the nineties (TCVN3, VNI): bytes, and no control characters.
        text = head.decode("latin-1")
    is_text = all(letter >= " " or letter in "\t\n\r\f" for letter in text)
    return text if is_text else None
