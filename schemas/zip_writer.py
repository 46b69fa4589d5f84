"""A ZIP around one file, written forwards as the file is read.

Sizes and checksum follow the entry in a data descriptor, as VNPT's library writes them too. No time is noted: equal
files give equal archives.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

from schemas.limits import MIB
from schemas.zip_records import (
    CENTRAL_HEADER,
    CENTRAL_LAYOUT,
    DATA_DESCRIPTOR,
    DEFLATED,
    DESCRIPTOR_FLAG,
    END_LAYOUT,
    END_OF_DIRECTORY,
    IN_ZIP64,
    LOCAL_HEADER,
    LOCAL_LAYOUT,
    ZIP64_END_OF_DIRECTORY,
    ZIP64_EXTRA,
    ZIP64_LOCATOR,
)
from schemas.zip_stream import RATIO_FREE

#: Readers take what grows further for a bomb: our own, where a large entry grows to more than twice this.
_HIGHEST_RATIO = 100
_RATIO_MATTERS = RATIO_FREE // 2
#: Deflate makes incompressible bytes longer, by 5 in 16 KiB: near 4 GiB the entry may need ZIP64 and the file not.
_MAY_NEED_ZIP64 = IN_ZIP64 - 2 * MIB
_VERSION = 20
_ZIP64_VERSION = 45
#: 1980-01-01, the first day that ZIP knows: month and day 1.
_FIRST_DAY = 0x21


def single_entry_zip(entry_name: str, pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The archive, in pieces, whose one entry is named `entry_name` (ASCII) and holds `pieces`.

    `size` is their length together; whoever gives the pieces sees to it that it is.
    """
    name = entry_name.encode("ascii")
    large = size >= _MAY_NEED_ZIP64
    version = _ZIP64_VERSION if large else _VERSION
    unknown = IN_ZIP64 if large else 0
    extra = _zip64_extra(0, 0) if large else b""
    header = LOCAL_HEADER + LOCAL_LAYOUT.pack(
        version, DESCRIPTOR_FLAG, DEFLATED, 0, _FIRST_DAY, 0, unknown, unknown, len(name), len(extra)
    )
    yield header + name + extra
    crc = 0
    deflater = _TemperateDeflater()
    for piece in pieces:
        crc = zlib.crc32(piece, crc)
        yield deflater.deflate(piece)
    yield deflater.finish()
    packed = deflater.given
    descriptor = _descriptor(crc, packed, size)
    directory = _central_header(name, crc, packed, size)
    offset = len(header) + len(name) + len(extra) + packed + len(descriptor)
    yield descriptor + directory + _end(offset, len(directory))


class _TemperateDeflater:
    """Deflates, but not so well that a reader would take the result for a bomb: where it would, a piece is stored.

    `given` is the number of bytes that came out so far.
    """

    def __init__(self) -> None:
        self.given = 0
        self._taken = 0
        self._stores = False
        self._deflater = _raw_deflater(stores=False)

    def deflate(self, piece: bytes) -> bytes:
        self._taken += len(piece)
        stores = self._taken > _RATIO_MATTERS and self._taken > _HIGHEST_RATIO * self.given
        rest = b""
        if stores != self._stores:
            # Deflate streams that end on a byte can be joined if each looks back only into itself.
            rest = self._deflater.flush(zlib.Z_FULL_FLUSH)
            self._deflater = _raw_deflater(stores=stores)
            self._stores = stores
        return self._counted(rest + self._deflater.compress(piece))

    def finish(self) -> bytes:
        return self._counted(self._deflater.flush())

    def _counted(self, data: bytes) -> bytes:
        self.given += len(data)
        return data


def _raw_deflater(*, stores: bool) -> zlib._Compress:
    level = zlib.Z_NO_COMPRESSION if stores else zlib.Z_DEFAULT_COMPRESSION
    return zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)


def _descriptor(crc: int, packed: int, size: int) -> bytes:
    # Java's reader takes eight bytes for a size exactly where one of the two does not fit four.
    width = 8 if max(packed, size) > IN_ZIP64 else 4
    figures = (crc.to_bytes(4, "little"), packed.to_bytes(width, "little"), size.to_bytes(width, "little"))
    return DATA_DESCRIPTOR + b"".join(figures)


def _zip64_extra(size: int, packed: int) -> bytes:
    figures = size.to_bytes(8, "little") + packed.to_bytes(8, "little")
    return ZIP64_EXTRA.to_bytes(2, "little") + len(figures).to_bytes(2, "little") + figures


def _central_header(name: bytes, crc: int, packed: int, size: int) -> bytes:
    large = max(packed, size) >= IN_ZIP64
    version = _ZIP64_VERSION if large else _VERSION
    extra = _zip64_extra(size, packed) if large else b""
    fields = (version, version, DESCRIPTOR_FLAG, DEFLATED, 0, _FIRST_DAY, crc)
    sizes = (IN_ZIP64, IN_ZIP64) if large else (packed, size)
    return CENTRAL_HEADER + CENTRAL_LAYOUT.pack(*fields, *sizes, len(name), len(extra), 0, 0, 0, 0, 0) + name + extra


def _end(offset: int, length: int) -> bytes:
    """The end of a directory of one entry that begins at `offset` and is `length` bytes long."""
    if offset < IN_ZIP64:
        return END_OF_DIRECTORY + END_LAYOUT.pack(0, 0, 1, 1, length, offset, 0)
    record = struct.pack("<QHHIIQQQQ", 44, _ZIP64_VERSION, _ZIP64_VERSION, 0, 0, 1, 1, length, offset)
    locator = struct.pack("<IQI", 0, offset + length, 1)
    end = END_OF_DIRECTORY + END_LAYOUT.pack(0, 0, 1, 1, length, IN_ZIP64, 0)
    return ZIP64_END_OF_DIRECTORY + record + ZIP64_LOCATOR + locator + end
