"""The circuit breaker of a push endpoint: what a success or a failure makes of it.

After some failures in a row it opens: nothing is pushed, and what waits is there to be fetched. After a wait one batch
probes; if that comes through the breaker closes, else it opens again for a longer time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.store.pushing import Breaker, BreakerState


@dataclass(frozen=True, slots=True)
class BreakerTerms:
    """How many `failures` in a row open it; the `first` wait of an open one, doubled each time up to `longest`."""

    failures: int
    first: timedelta
    longest: timedelta

    def wait(self, openings: int, chance: float) -> timedelta:
        """How long it stays open when it opens for the `openings`-th time, spread by ±20 %; `chance` is in 0 … 1."""
        doubled = self.first * 2.0 ** min(openings - 1, 20)
        return min(doubled, self.longest) * (0.8 + 0.4 * chance)


def after_failure(breaker: Breaker, terms: BreakerTerms, *, at: datetime, chance: float, error: str) -> Breaker:
    """The breaker when a push has failed at `at`."""
    failures = breaker.failures + 1
    is_closed = breaker.state is BreakerState.CLOSED
    if is_closed and failures < terms.failures:
        return Breaker(state=BreakerState.CLOSED, changed_at=breaker.changed_at, failures=failures, last_error=error)
    openings = breaker.openings + 1
    return Breaker(
        state=BreakerState.OPEN,
        changed_at=at if is_closed else breaker.changed_at,
        failures=failures,
        openings=openings,
        probe_at=at + terms.wait(openings, chance),
        last_error=error,
    )


def after_success(breaker: Breaker, *, at: datetime) -> Breaker:
    """The breaker when a push has come through at `at`."""
    is_closed = breaker.state is BreakerState.CLOSED
    return Breaker(state=BreakerState.CLOSED, changed_at=breaker.changed_at if is_closed else at)
