"""What is waited for inside the hub, as keys of wake-ups."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final

from runtime.wakeups import Wakeups

#: A message has deliveries that are not written yet.
FANOUT: Final[Hashable] = "fanout"

#: Work stands in the outbox, to be announced to the other processes.
WORK: Final[Hashable] = "work"

#: The endpoints that the hub pushes to may be others.
PUSH: Final[Hashable] = "push"


def mailbox_of(connection: str) -> Hashable:
    """Something came into the mailbox of `connection`."""
    return ("mailbox", connection)


def connection_of(key: Hashable) -> str | None:
    """The connection whose mailbox `key` speaks of; None if it is another key."""
    match key:
        case ("mailbox", str(connection)):
            return connection
        case _:
            return None


def wake_mailboxes(wakeups: Wakeups, connections: Iterable[str]) -> None:
    for connection in connections:
        wakeups.wake(mailbox_of(connection))
