"""Digests of files while they are written, so that what was just hashed need not be read again.

A digest is in memory alone: after a restart, or when another process wrote meanwhile, the file is read. That the file
is still the one that was written is seen by its number, its length and its time of modification.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from io import BufferedRandom
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeAlias

from schemas.limits import KIB, MIB

if TYPE_CHECKING:
    from hashlib import _Hash

#: Files that are remembered: each takes some hundred bytes.
_MOST: Final = 1000

#: Bytes that are written, then digested: they are still in the processor's cache then, and the system's own cache is
#: asked for pieces that it has ready (with 1 MiB at a time it took up to ten times as long for 128 MiB).
_AT_ONCE: Final = 256 * KIB

#: After so many bytes the system is told to begin with writing them down: a sync in the end finds little left to do.
_WRITE_DOWN_EVERY: Final = 8 * MIB

_State: TypeAlias = tuple[int, int, int]


@dataclass(slots=True)
class Writing:
    """A file being written from its end on. `digest` is None if not all of its bytes passed here."""

    file: BufferedRandom
    position: int
    digest: _Hash | None = field(repr=False)
    _written_down: int = field(init=False)
    #: A writer that was cancelled may still write in its thread when the next step is taken.
    _alone: Lock = field(init=False, default_factory=Lock)

    def __post_init__(self) -> None:
        self._written_down = self.position

    def write(self, chunk: bytes) -> None:
        """Append a chunk; for a thread."""
        with self._alone:
            # Of a write that fails, on a full disk, some bytes may be in the file.
            digest, self.digest = self.digest, None
            for start in range(0, len(chunk), _AT_ONCE):
                piece = memoryview(chunk)[start : start + _AT_ONCE]
                self.file.write(piece)
                self.position += len(piece)
                if digest is not None:
                    digest.update(piece)
            self.digest = digest
            if self.position - self._written_down >= _WRITE_DOWN_EVERY:
                self.file.flush()
                # For pages that are not on the disk yet this begins to write them, and waits for nothing.
                span = self.position - self._written_down
                os.posix_fadvise(self.file.fileno(), self._written_down, span, os.POSIX_FADV_DONTNEED)
                self._written_down = self.position

    def end(self) -> _State:
        """Nothing is written for now; gives the state in which the file is left."""
        with self._alone:
            self.file.flush()
            return _state(self.file)


@dataclass(frozen=True, slots=True)
class _Written:
    state: _State
    digest: _Hash


class WrittenDigests:
    """What this process knows of files that it wrote from their first byte, by name."""

    def __init__(self) -> None:
        self._written: OrderedDict[str, _Written] = OrderedDict()

    def begin(self, name: str, file: BufferedRandom) -> Writing:
        """Go on with a file, at its end."""
        written = self._written.pop(name, None)
        position = file.seek(0, os.SEEK_END)
        if position == 0:
            return Writing(file, 0, hashlib.sha256())
        known = written is not None and written.state == _state(file)
        return Writing(file, position, written.digest if written is not None and known else None)

    def end(self, name: str, writing: Writing) -> None:
        """Remember how far a file was written; for a thread."""
        state = writing.end()
        if writing.digest is not None:
            self._written[name] = _Written(state, writing.digest)
            while len(self._written) > _MOST:
                self._written.popitem(last=False)

    def digest(self, name: str, file: BufferedRandom) -> str:
        """The SHA-256 of a file in hex: known, or read; for a thread."""
        written = self._written.get(name)
        if written is not None and written.state == _state(file):
            return written.digest.hexdigest()
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()

    def forget(self, name: str) -> None:
        """The file is gone."""
        self._written.pop(name, None)


def _state(file: BufferedRandom) -> _State:
    found = os.fstat(file.fileno())
    return found.st_ino, found.st_size, found.st_mtime_ns
