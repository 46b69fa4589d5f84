"""Reading an evidence container that anybody may have made: what it lists, and the bytes of each file, within limits.

Nothing is unpacked onto the disk and no name is ever a path: a name only joins an entry to its line of the manifest.
"""

from __future__ import annotations

import errno
import hashlib
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from certs.errors import EvidenceRejected
from certs.evidence_format import (
    LONGEST,
    LONGEST_MANIFEST,
    LONGEST_TOGETHER,
    MANIFEST,
    MEDIA_TYPE,
    MIMETYPE,
    MOST_FILES,
    FileKind,
    ListedFile,
    Manifest,
    read_manifest,
)
from runtime.files import storage_errors
from schemas.envelope import Sha256Hex
from schemas.zip_records import END_LAYOUT, END_OF_DIRECTORY, ZIP64_LOCATOR

_MAKE_ANEW: Final = "Have it made anew by `congvan hub evidence` or `congvan node evidence`."
_CHUNK: Final = 1024 * 1024
#: Bytes of the directory at a ZIP's end that `MOST_FILES` entries with names of ours take at most.
_LONGEST_DIRECTORY: Final = 32 * 1024 * 1024
_END_BYTES: Final = len(END_OF_DIRECTORY) + END_LAYOUT.size
_ZIP64_LOCATOR_BYTES: Final = 20
_ZIP64_END_BYTES: Final = 56


@dataclass(frozen=True, slots=True)
class EvidenceFiles:
    """An open container whose entries are those of the manifest, or said to be missing or unlisted."""

    manifest: Manifest
    _archive: zipfile.ZipFile
    _entries: Mapping[str, zipfile.ZipInfo]

    @property
    def unlisted(self) -> list[str]:
        """Names of entries that the manifest does not list."""
        listed = {file.name for file in self.manifest.files} | {MIMETYPE, MANIFEST}
        return [name for name in self._entries if name not in listed]

    def content(self, file: ListedFile) -> bytes | None:
        """The bytes of a listed file, one more than listed at most; None if it is not there."""
        entry = self._entries.get(file.name)
        if entry is None:
            return None
        with _zip_errors(), self._archive.open(entry) as stream:
            return stream.read(max(0, file.size) + 1)

    def digest(self, file: ListedFile) -> Sha256Hex | None:
        """The SHA-256 of a listed file, without holding it; None if it is not there."""
        entry = self._entries.get(file.name)
        if entry is None:
            return None
        digest, left = hashlib.sha256(), file.size
        with _zip_errors(), self._archive.open(entry) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                left -= len(chunk)
                if left < 0:
                    break
        return digest.hexdigest()


@contextmanager
def open_evidence(path: Path) -> Iterator[EvidenceFiles]:
    """The container at `path`, open.

    Raises:
        EvidenceRejected: `evidence-form`: it is no ZIP, or not one of this form; `evidence-repeated`: two entries have
            one name; `evidence-too-large`, `evidence-too-many`.
        MalformedMessage: the manifest is none.
    """
    with storage_errors(path), path.open("rb") as file:
        _require_short_directory(file)
        with _zip_errors():
            archive = zipfile.ZipFile(file)
        with archive:
            entries = _entries(archive)
            manifest = read_manifest(_read(archive, entries[MANIFEST], LONGEST_MANIFEST))
            _require_distinct(manifest)
            yield EvidenceFiles(manifest, archive, entries)


def _require_short_directory(file: BinaryIO) -> None:
    """Pass if the directory at the end is one that can be read into memory: a reader takes it whole."""
    length = file.seek(0, 2)
    tail_bytes = min(length, _END_BYTES + _ZIP64_LOCATOR_BYTES + _ZIP64_END_BYTES)
    file.seek(length - tail_bytes)
    tail = file.read(tail_bytes)
    end = tail[-_END_BYTES:]
    if not end.startswith(END_OF_DIRECTORY):
        raise _form("it does not end as a ZIP without a comment ends")
    *_, entries, size, _, comment = END_LAYOUT.unpack(end[len(END_OF_DIRECTORY) :])
    if comment:
        raise _form("it does not end as a ZIP without a comment ends")
    if tail[-_END_BYTES - _ZIP64_LOCATOR_BYTES :].startswith(ZIP64_LOCATOR):
        record = tail[:_ZIP64_END_BYTES]
        entries = int.from_bytes(record[32:40], "little")
        size = int.from_bytes(record[40:48], "little")
    if entries > MOST_FILES or size > _LONGEST_DIRECTORY:
        raise EvidenceRejected("evidence-too-many", f"The file has {entries} entries; {MOST_FILES} are taken.")


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        if entry.filename in found:
            raise EvidenceRejected(
                "evidence-repeated", f"Two files are named {entry.filename[:100]!r}.", mend=_MAKE_ANEW
            )
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.flag_bits & 0x1:
            raise _form(f"{entry.filename[:100]!r} is encrypted, or packed in a way that is not taken")
        found[entry.filename] = entry
    if len(found) > MOST_FILES:
        raise EvidenceRejected("evidence-too-many", f"The file has {len(found)} entries; {MOST_FILES} are taken.")
    first = next(iter(found.values()), None)
    if first is None or first.filename != MIMETYPE or first.header_offset or first.compress_type != zipfile.ZIP_STORED:
        raise _form("its first entry is not a stored mimetype")
    if _read(archive, first, len(MEDIA_TYPE)) != MEDIA_TYPE.encode():
        raise _form("its mimetype is another")
    if MANIFEST not in found:
        raise _form(f"it has no {MANIFEST}")
    return found


def _require_distinct(manifest: Manifest) -> None:
    names = [file.name for file in manifest.files]
    if len(set(names)) < len(names):
        raise EvidenceRejected("evidence-repeated", "The manifest lists a file twice.", mend=_MAKE_ANEW)
    together = sum(max(0, file.size) for file in manifest.files if file.kind is not FileKind.ATTACHMENT)
    if together > LONGEST_TOGETHER:
        raise EvidenceRejected(
            "evidence-too-large", f"Its files have {together} bytes together; {LONGEST_TOGETHER} are taken."
        )
    for file in manifest.files:
        if file.size > LONGEST[file.kind]:
            raise _too_large(file.name)


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    with _zip_errors(), archive.open(entry) as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise _too_large(entry.filename)
    return data


@contextmanager
def _zip_errors() -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise _form(f"it is damaged: {error}") from error
    except (ValueError, OverflowError, OSError) as error:
        # Places before the beginning, or beyond any file: what hostile figures lead to.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise _form(f"it is damaged: {error}") from error


def _form(what: str) -> EvidenceRejected:
    return EvidenceRejected("evidence-form", f"This is no evidence container: {what}.", mend=_MAKE_ANEW)


def _too_large(name: str) -> EvidenceRejected:
    return EvidenceRejected("evidence-too-large", f"{name[:100]!r} is longer than a file of its kind may be.")
