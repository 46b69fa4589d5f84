"""How long to wait after a failure."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from node.settings_exchange import BackoffSettings


def wait_after(failures: int, backoff: BackoffSettings, chance: Random, *, asked: float | None = None) -> float:
    """Seconds until the next try after `failures` in a row: `first`, doubled each time, at most `longest`, ±20 %.

    A peer that `asked` for a wait gets it, spread upwards only, so that its clients do not all return at once.
    """
    doubled = backoff.first * 2.0 ** min(max(failures, 1) - 1, 30)
    wait = min(doubled, backoff.longest) * chance.uniform(0.8, 1.2)
    if asked is None:
        return wait
    return max(wait, min(asked, backoff.longest) * chance.uniform(1.0, 1.2))


def longest_rest(backoff: BackoffSettings) -> timedelta:
    """What `wait_after` never exceeds."""
    return timedelta(seconds=backoff.longest * 1.2)
