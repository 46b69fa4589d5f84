"""The kinds of work that a wake-up can announce; the keys of the process's `Wakeups`."""

from __future__ import annotations

from enum import StrEnum

from runtime.wakeups import Wakeups


class Work(StrEnum):
    SENDING = "sending"
    HANDOVER = "handover"
    REPORTING = "reporting"
    DIRECTORY = "directory"


def wake_all(wakeups: Wakeups) -> None:
    """For the doorbell: another process wrote something, whatever it was."""
    for work in Work:
        wakeups.wake(work)
