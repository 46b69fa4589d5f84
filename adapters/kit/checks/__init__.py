"""The checks, one module for each thing that is tried. `CHECKS` has them in the order in which they are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from adapters.kit.checks.attachments import empty, huge, names
from adapters.kit.checks.failing import broken_streams, software_away
from adapters.kit.checks.kinds import duplicates, every_kind, together
from adapters.kit.checks.life import life
from adapters.kit.checks.restarts import cancelled, killed
from adapters.kit.checks.source import source
from adapters.kit.ledger import Ledger
from adapters.kit.stage import Stage


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, the promise that it tries to break, how it tries."""

    name: str
    promise: str
    run: Callable[[Stage, Ledger], Awaitable[None]]


CHECKS: Final = (
    Check("life", "It starts, runs until told to stop, tells its health, and closes.", life),
    Check("kinds", "Every kind of message is handed over.", every_kind),
    Check("duplicates", "A message delivered again is the one that it was.", duplicates),
    Check("together", "Several messages at once are as good as one after the other.", together),
    Check("empty", "An empty attachment is one as well.", empty),
    Check("huge", "Memory does not grow with an attachment.", huge),
    Check("names", "Whatever a sender calls an attachment harms nothing and loses nothing.", names),
    Check("streams", "An attachment that breaks off is not handed over, and is tried again.", broken_streams),
    Check("software", "Software that is away loses no message and refuses none.", software_away),
    Check("cancelled", "A hand-over cancelled at any await neither loses the message nor doubles it.", cancelled),
    Check("killed", "A kill at any step neither loses the message nor doubles it.", killed),
    Check("source", "What the software sends is submitted once, however often the node cannot take it.", source),
)
