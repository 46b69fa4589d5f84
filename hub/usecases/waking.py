"""What is waited for inside the hub, as keys of wake-ups."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final

from runtime.wakeups import Wakeups

#: A message has deliveries that are not written yet.
FANOUT: Final[Hashable] = "fanout"

#: The endpoints that the hub pushes to may be others.
PUSH: Final[Hashable] = "push"


def mailbox_of(connection: str) -> Hashable:
    """Something came into the mailbox of `connection`."""
    return ("mailbox", connection)


def wake_mailboxes(wakeups: Wakeups, connections: Iterable[str]) -> None:
    for connection in connections:
        wakeups.wake(mailbox_of(connection))
