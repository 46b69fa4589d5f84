"""The bytes of the kit's attachments: made while they are read, so that a huge one takes no room."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from schemas.envelope import Sha256Hex
from schemas.limits import KIB

CHUNK = 256 * KIB


@dataclass(frozen=True, slots=True)
class Content:
    """`size` bytes that repeat `pattern`."""

    pattern: bytes
    size: int

    @classmethod
    def of(cls, text: bytes) -> Content:
        """Just these bytes."""
        return cls(text, len(text))

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """The bytes from `start` on in pieces of at most `CHUNK`; all but the last are one and the same object."""
        if start >= self.size:
            return
        turned = start % len(self.pattern)
        repeats = max(1, CHUNK // len(self.pattern))
        piece = (self.pattern[turned:] + self.pattern[:turned]) * repeats
        whole, rest = divmod(self.size - start, len(piece))
        for _ in range(whole):
            yield piece
        if rest:
            yield piece[:rest]

    @property
    def digest(self) -> Sha256Hex:
        return _digest(self)


@functools.lru_cache(maxsize=256)
def _digest(content: Content) -> Sha256Hex:
    digest = hashlib.sha256()
    for piece in content.chunks():
        digest.update(piece)
    return digest.hexdigest()
