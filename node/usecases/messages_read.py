"""Messages that were verified and recorded a moment ago: for the software they are not read once more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.store.inbox import DescribedMessage, StoredMessage
from schemas.envelope import Envelope, Sha256Hex
from schemas.limits import KIB

#: Messages that are remembered, and how many bytes each may have, sealed: a few MiB in all.
_MOST: Final = 128
_LONGEST: Final = 32 * KIB


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """A message as it was verified, and what the record says and keeps of it."""

    envelope: Envelope
    described: DescribedMessage
    stored: StoredMessage


class MessagesRead:
    """The last light messages, by id, which is the digest of all that they say."""

    def __init__(self) -> None:
        self._messages: dict[Sha256Hex, ReadMessage] = {}

    def note(self, message_id: Sha256Hex, message: ReadMessage) -> None:
        """Remember a message that is on record now, unless it is long."""
        if len(message.stored.sealed) > _LONGEST:
            return
        if len(self._messages) >= _MOST:
            del self._messages[next(iter(self._messages))]
        self._messages[message_id] = message

    def of(self, message_id: Sha256Hex) -> ReadMessage | None:
        """The message, if it is remembered."""
        return self._messages.get(message_id)
