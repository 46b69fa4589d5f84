"""How long to wait after a failure."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from node.settings_exchange import BackoffSettings
from runtime.backoff import backoff as spread_backoff


def wait_after(failures: int, backoff: BackoffSettings, chance: Random, *, asked: float | None = None) -> float:
    """Seconds until the next try after `failures` in a row: `first`, doubled each time, at most `longest`, ±20 %.

    A peer that `asked` for a wait gets it, spread upwards only, so that its clients do not all return at once.
    """
    wait = spread_backoff(failures, first=backoff.first, longest=backoff.longest, jitter=0.2, chance=chance)
    if asked is None:
        return wait
    return max(wait, min(asked, backoff.longest) * chance.uniform(1.0, 1.2))


def longest_rest(backoff: BackoffSettings) -> timedelta:
    """What `wait_after` never exceeds."""
    return timedelta(seconds=backoff.longest * 1.2)
