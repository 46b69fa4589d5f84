"""The kinds of work that a wake-up can announce; the keys of the process's `Wakeups`."""

from __future__ import annotations

from enum import StrEnum

from runtime.wakeups import Wakeups


class Work(StrEnum):
    """`recovery` is no work of its own: the hub is back, so that work which rested for it goes on. `events` wakes those
    who follow the log of events; `express-reporting` those who report what waits for nothing else."""

    SENDING = "sending"
    HANDOVER = "handover"
    HOLDS = "holds"
    REPORTING = "reporting"
    EXPRESS_REPORTING = "express-reporting"
    DIRECTORY = "directory"
    RESUBMITTING = "resubmitting"
    OWN_ATTACHMENTS = "own-attachments"
    RECOVERY = "recovery"
    EVENTS = "events"


def wake_reporter(wakeups: Wakeups, *, is_express: bool) -> None:
    """There is something to report; about an express document, without waiting for more."""
    wakeups.wake(Work.REPORTING)
    if is_express:
        wakeups.wake(Work.EXPRESS_REPORTING)


def wake_all(wakeups: Wakeups) -> None:
    """For the doorbell: another process wrote something, whatever it was."""
    for work in Work:
        wakeups.wake(work)
