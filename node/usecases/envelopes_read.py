"""Envelopes that were read a moment ago: what was just verified is not read once more for the software."""

from __future__ import annotations

from typing import Final

from schemas.envelope import Envelope, Sha256Hex
from schemas.limits import KIB

#: Envelopes that are remembered, and how many bytes each may have, sealed: a few MiB in all.
_MOST: Final = 128
_LONGEST: Final = 32 * KIB


class EnvelopesRead:
    """The last light envelopes, verified, by message id, which is the digest of all that they say."""

    def __init__(self) -> None:
        self._envelopes: dict[Sha256Hex, Envelope] = {}

    def note(self, message_id: Sha256Hex, envelope: Envelope, *, length: int) -> None:
        """Remember an envelope that has `length` bytes, sealed, unless it is long."""
        if length > _LONGEST:
            return
        if len(self._envelopes) >= _MOST:
            del self._envelopes[next(iter(self._envelopes))]
        self._envelopes[message_id] = envelope

    def of(self, message_id: Sha256Hex) -> Envelope | None:
        """The envelope, if it is remembered."""
        return self._envelopes.get(message_id)
