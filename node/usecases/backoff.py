"""How long to wait after a failure."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Final

from node.settings_exchange import BackoffSettings
from runtime.backoff import backoff as spread_backoff

#: What a peer may ask for at most, in seconds. One that asks for days would silence its clients.
_LONGEST_ASKED: Final = 600.0


def wait_after(failures: int, backoff: BackoffSettings, chance: Random, *, asked: float | None = None) -> float:
    """Seconds until the next try after `failures` in a row: `first`, doubled each time, at most `longest`, ±20 %.

    A peer that `asked` for a wait gets it, up to ten minutes or `longest`, spread upwards only, so that its clients do
    not all return at once.
    """
    wait = spread_backoff(failures, first=backoff.first, longest=backoff.longest, jitter=0.2, chance=chance)
    if asked is None:
        return wait
    return max(wait, min(asked, _most(backoff)) * chance.uniform(1.0, 1.2))


def reconnect_after(
    failures: int, backoff: BackoffSettings, spread: float, chance: Random, *, asked: float | None = None
) -> float:
    """Seconds until a lost hub is tried again: as `wait_after`, and anywhere within `spread` seconds more.

    A hub that stops, or a line that breaks, is lost to all its nodes in one moment.
    """
    return wait_after(failures, backoff, chance, asked=asked) + chance.uniform(0.0, spread)


def longest_rest(backoff: BackoffSettings) -> timedelta:
    """What `wait_after` never exceeds."""
    return timedelta(seconds=_most(backoff) * 1.2)


def _most(backoff: BackoffSettings) -> float:
    return max(backoff.longest, _LONGEST_ASKED)
