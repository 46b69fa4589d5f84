"""How long to wait after failures: longer each time, and never all at the same moment."""

from __future__ import annotations

from random import Random

#: Doublings beyond this are past every cap, and past what a float can hold in the end.
_DOUBLINGS = 30


def backoff(failures: int, *, first: float, longest: float, jitter: float, chance: Random) -> float:
    """Seconds until the next try after `failures` in a row: `first`, doubled each time, at most `longest`.

    The result is spread by the share `jitter` (0.2: ±20 %) in both directions.
    """
    doubled = first * 2.0 ** min(max(failures, 1) - 1, _DOUBLINGS)
    return min(doubled, longest) * chance.uniform(1 - jitter, 1 + jitter)
