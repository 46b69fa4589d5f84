"""The records of a ZIP archive, as far as an archive of one entry needs them (PKWARE APPNOTE 6.3, section 4.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from schemas.errors import MalformedMessage

LOCAL_HEADER = b"PK\x03\x04"
DATA_DESCRIPTOR = b"PK\x07\x08"
CENTRAL_HEADER = b"PK\x01\x02"
END_OF_DIRECTORY = b"PK\x05\x06"
ZIP64_END_OF_DIRECTORY = b"PK\x06\x06"
ZIP64_LOCATOR = b"PK\x06\x07"

STORED = 0
DEFLATED = 8

ENCRYPTED_FLAG = 0x0001
DESCRIPTOR_FLAG = 0x0008
UTF8_FLAG = 0x0800

#: In a 32-bit field: the real figure stands in the ZIP64 extra field.
IN_ZIP64 = 0xFFFFFFFF
ZIP64_EXTRA = 0x0001

# Field by field as the APPNOTE lists them, the signature left out.
LOCAL_LAYOUT = struct.Struct("<HHHHHIIIHH")
CENTRAL_LAYOUT = struct.Struct("<HHHHHHIIIHHHHHII")
END_LAYOUT = struct.Struct("<HHHHIIH")
_EXTRA_HEADER = struct.Struct("<HH")


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryHeader:
    """What a local or a central header says of its entry. `length` is the header's own, in bytes."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed_size: int
    size: int
    length: int

    @property
    def has_descriptor(self) -> bool:
        return bool(self.flags & DESCRIPTOR_FLAG)

    @property
    def text_name(self) -> str:
        """The entry's name for people: UTF-8 where the archive says so, else as DOS wrote it."""
        return self.name.decode("utf-8" if self.flags & UTF8_FLAG else "cp437", errors="replace")


def read_local_header(data: bytes) -> EntryHeader | None:
    """The header that `data` begins with, None while `data` does not hold all of it.

    Raises:
        MalformedMessage: `zip-damaged`.
    """
    start = len(LOCAL_HEADER) + LOCAL_LAYOUT.size
    if len(data) < start:
        return None
    _, flags, method, _, _, crc, packed_size, size, name_length, extra_length = LOCAL_LAYOUT.unpack_from(data, 4)
    length = start + name_length + extra_length
    if len(data) < length:
        return None
    extra = data[start + name_length : length]
    size, packed_size = _zip64_figures(extra, size, packed_size)
    return EntryHeader(
        name=bytes(data[start : start + name_length]),
        flags=flags,
        method=method,
        crc=crc,
        packed_size=packed_size,
        size=size,
        length=length,
    )


def read_central_header(data: bytes) -> EntryHeader:
    """The central directory's header that `data` begins with.

    Raises:
        MalformedMessage: `zip-damaged`, where `data` breaks off before its end.
    """
    start = len(CENTRAL_HEADER) + CENTRAL_LAYOUT.size
    if len(data) < start:
        raise damaged("its directory breaks off")
    fields = CENTRAL_LAYOUT.unpack_from(data, 4)
    flags, method, crc, packed_size, size, name_length, extra_length, comment_length = fields[2:4] + fields[6:12]
    length = start + name_length + extra_length + comment_length
    if len(data) < length:
        raise damaged("its directory breaks off")
    extra = data[start + name_length : start + name_length + extra_length]
    size, packed_size = _zip64_figures(extra, size, packed_size)
    return EntryHeader(
        name=bytes(data[start : start + name_length]),
        flags=flags,
        method=method,
        crc=crc,
        packed_size=packed_size,
        size=size,
        length=length,
    )


def damaged(fault: str) -> MalformedMessage:
    """The error of an archive that is not whole."""
    return MalformedMessage(
        "zip-damaged",
        f"The ZIP around the attachment is damaged: {fault}.",
        mend="Send the attachment again: it was damaged on its way or when it was written.",
    )


def _zip64_figures(extra: bytes, size: int, packed_size: int) -> tuple[int, int]:
    """`size` and `packed_size`, from the ZIP64 extra field where the 32-bit fields point there (4.5.3)."""
    if IN_ZIP64 not in (size, packed_size):
        return size, packed_size
    at = 0
    while at + _EXTRA_HEADER.size <= len(extra):
        kind, length = _EXTRA_HEADER.unpack_from(extra, at)
        body = extra[at + _EXTRA_HEADER.size : at + _EXTRA_HEADER.size + length]
        at += _EXTRA_HEADER.size + length
        if kind != ZIP64_EXTRA:
            continue
        if size == IN_ZIP64:
            size, body = _figure(body)
        if packed_size == IN_ZIP64:
            packed_size, body = _figure(body)
        return size, packed_size
    # 4 GiB less one byte is a size too.
    return size, packed_size


def _figure(body: bytes) -> tuple[int, bytes]:
    if len(body) < 8:
        raise damaged("its ZIP64 field breaks off")
    return int.from_bytes(body[:8], "little"), body[8:]
