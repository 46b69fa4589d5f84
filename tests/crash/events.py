"""What an agency's software has to say after a look: what came, what its node took, what it refused, what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from tests.crash.register import Arrival


@dataclass(frozen=True, slots=True)
class Sent:
    """An item that the node took: its name, and the message that it became."""

    name: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Failed:
    """An item that the node refused: its name, its letter's DocumentId (None: an answer), the node's words."""

    name: str
    document_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Told:
    """A sentence about something that must not be."""

    sentence: str


Event: TypeAlias = Arrival | Sent | Failed | Told
