"""Taking the one entry out of a ZIP archive while the archive still arrives.

The archive is read forwards, once: the entry's bytes are handed on as they are inflated, and the directory at the end
is compared with what was seen. Python's zipfile needs a file to seek in; here a bomb is stopped in the middle.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from schemas.errors import LimitExceeded, MalformedMessage
from schemas.limits import KIB, MIB, Limits
from schemas.zip_records import (
    CENTRAL_HEADER,
    DATA_DESCRIPTOR,
    DEFLATED,
    ENCRYPTED_FLAG,
    END_LAYOUT,
    END_OF_DIRECTORY,
    LOCAL_HEADER,
    STORED,
    ZIP64_END_OF_DIRECTORY,
    ZIP64_LOCATOR,
    EntryHeader,
    damaged,
    read_central_header,
)

#: Bytes inflated at a time: what a bomb can cost in memory.
_PIECE = 256 * KIB
#: Below this size an entry is no bomb however well it was compressed: a form of empty cells shrinks a thousandfold.
RATIO_FREE = 16 * MIB
#: More than one central header, with names and fields of full length, and the records after it.
_TAIL = 512 * KIB
#: A data descriptor at its longest, and the two letters that every record after it begins with.
_DESCRIPTOR = 24 + 2


class SingleEntryZip:
    """Feeds on the bytes that follow the local header of the first entry; `write` gets the entry's bytes.

    Memory: a constant. `size` is what was written so far.
    """

    def __init__(self, header: EntryHeader, write: Callable[[bytes], object], limits: Limits) -> None:
        """
        Raises:
            MalformedMessage: the entry is encrypted, packed by an unusual method, or named like a path.
        """
        _require_readable(header)
        self.size = 0
        self._header = header
        self._write = write
        self._ratio = limits.inflation_ratio
        self._crc = 0
        self._packed = 0
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS) if header.method == DEFLATED else None
        self._entry_ended = False
        self._descriptor_read = not header.has_descriptor
        self._held = b""
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the archive.

        Raises:
            MalformedMessage: `zip-damaged`, `zip-several-entries`.
            LimitExceeded: `inflation-ratio`, and whatever `write` raises.
        """
        if self._entry_ended:
            self._take_tail(data)
        elif self._inflater is not None:
            self._inflate(data, self._inflater)
        elif self._header.has_descriptor and self._header.packed_size == 0:
            self._scan_stored(data)
        else:
            wanted = self._header.packed_size - self._packed
            self._take_stored(data[:wanted])
            if self._packed == self._header.packed_size:
                self._end_entry(data[wanted:])

    def finish(self) -> None:
        """Say that the archive has ended.

        Raises:
            MalformedMessage: `zip-damaged`, where the archive breaks off or its directory tells another story.
        """
        if not self._entry_ended:
            raise damaged("it breaks off inside the entry")
        if not self._descriptor_read:
            self._read_descriptor()
        self._check_directory(self._tail)

    def _inflate(self, data: bytes, inflater: zlib._Decompress) -> None:
        # What output the inflater keeps back comes with the next bytes: a directory always follows.
        while data:
            try:
                piece = inflater.decompress(data, _PIECE)
            except zlib.error as error:
                raise damaged("the entry cannot be inflated") from error
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            self._packed += len(data) - len(rest)
            self._emit(piece)
            if inflater.eof:
                self._end_entry(rest)
                return
            data = rest

    def _emit(self, piece: bytes) -> None:
        if not piece:
            return
        self.size += len(piece)
        if self.size > RATIO_FREE and self.size > self._ratio * max(self._packed, 1):
            raise LimitExceeded(
                "inflation-ratio",
                f"The attachment grows to more than {self._ratio} times its packed size, as a ZIP bomb does.",
                mend="Send it unpacked, or packed with less compression.",
            )
        self._crc = zlib.crc32(piece, self._crc)
        self._write(piece)

    def _take_stored(self, data: bytes) -> None:
        self._packed += len(data)
        self._emit(data)

    def _scan_stored(self, data: bytes) -> None:
        """Stored bytes of unknown length end where a descriptor tells their length and checksum."""
        data = self._held + data
        start, at = 0, data.find(DATA_DESCRIPTOR)
        while 0 <= at <= len(data) - _DESCRIPTOR:
            self._take_stored(data[start:at])
            start = at
            if self._descriptor_length(data[at : at + _DESCRIPTOR]):
                self._end_entry(data[at:])
                return
            at = data.find(DATA_DESCRIPTOR, at + 1)
        # A descriptor may begin in these bytes and end in the next.
        certain = at if at >= 0 else max(len(data) - len(DATA_DESCRIPTOR) + 1, start)
        self._take_stored(data[start:certain])
        self._held = data[certain:]

    def _end_entry(self, rest: bytes) -> None:
        header = self._header
        if header.packed_size and header.packed_size != self._packed:
            raise damaged("the entry is not as long as its header says")
        if not header.has_descriptor and (header.size, header.crc) != (self.size, self._crc):
            raise damaged("the checksum or length of the entry is wrong")
        self._entry_ended = True
        self._take_tail(rest)

    def _take_tail(self, data: bytes) -> None:
        self._tail += data
        if not self._descriptor_read and len(self._tail) >= _DESCRIPTOR:
            self._read_descriptor()
        if self._descriptor_read and self._tail.startswith(LOCAL_HEADER):
            raise several_entries()
        if len(self._tail) > _TAIL:
            raise damaged("more follows the entry than the directory of one entry")

    def _read_descriptor(self) -> None:
        length = self._descriptor_length(self._tail)
        if not length:
            raise damaged("the checksum or length of the entry is wrong")
        self._tail = self._tail[length:]
        self._descriptor_read = True

    def _descriptor_length(self, data: bytes) -> int:
        """How long the descriptor is that `data` begins with, 0 if it begins with none that fits the entry.

        The signature is optional, and the sizes have 4 bytes or 8 (4.3.9): the figures decide.
        """
        begin = len(DATA_DESCRIPTOR) if data.startswith(DATA_DESCRIPTOR) else 0
        for width in (4, 8):
            if max(self._packed, self.size) >= 1 << 8 * width:
                continue
            sizes = self._packed.to_bytes(width, "little") + self.size.to_bytes(width, "little")
            figures = self._crc.to_bytes(4, "little") + sizes
            end = begin + len(figures)
            if data[begin:end] == figures and data[end : end + 2] == b"PK":
                return end
        return 0

    def _check_directory(self, tail: bytes) -> None:
        if tail.startswith(LOCAL_HEADER):
            raise several_entries()
        if not tail.startswith(CENTRAL_HEADER):
            raise damaged("its directory is missing")
        central = read_central_header(tail)
        if (central.name, central.method) != (self._header.name, self._header.method):
            raise damaged("its directory names another entry")
        if (central.crc, central.packed_size, central.size) != (self._crc, self._packed, self.size):
            raise damaged("its directory gives another checksum or length")
        rest = tail[central.length :]
        if rest.startswith(CENTRAL_HEADER):
            raise several_entries()
        if rest.startswith(ZIP64_END_OF_DIRECTORY):
            rest = rest[12 + int.from_bytes(rest[4:12], "little") :]
            if not rest.startswith(ZIP64_LOCATOR):
                raise damaged("its end is missing")
            rest = rest[20:]
        start = len(END_OF_DIRECTORY) + END_LAYOUT.size
        if not rest.startswith(END_OF_DIRECTORY) or len(rest) < start:
            raise damaged("its end is missing")
        comment_length = END_LAYOUT.unpack_from(rest, 4)[6]
        if len(rest) != start + comment_length:
            raise damaged("bytes follow its end, or its comment breaks off")


def several_entries() -> MalformedMessage:
    return MalformedMessage(
        "zip-several-entries",
        "The ZIP around the attachment holds more than one entry, so that it is not clear which one is meant.",
        mend="Wrap one file in each ZIP, or name the attachment .zip if the archive itself is meant.",
    )


def _require_readable(header: EntryHeader) -> None:
    name = header.text_name
    if header.flags & ENCRYPTED_FLAG:
        raise MalformedMessage(
            "zip-encrypted", "The ZIP around the attachment is encrypted.", mend="Send it without a password."
        )
    if header.method not in (STORED, DEFLATED):
        raise MalformedMessage(
            "zip-method-unknown",
            f"The ZIP around the attachment is packed by method {header.method}.",
            mend="Pack it by deflate (method 8), or store it (method 0).",
        )
    if not name or any(part in name for part in ("/", "\\", "\0", "..")):
        raise MalformedMessage(
            "entry-name-unsafe",
            f"The ZIP entry is named {name!r}, which would write outside its folder in careless software.",
            mend="Name the entry <uuid>.<extension>, without a folder.",
        )
