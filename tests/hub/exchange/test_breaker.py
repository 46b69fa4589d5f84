"""The breaker of a push endpoint, as values."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hub.store.pushing import Breaker, BreakerState
from hub.usecases.breaker import BreakerTerms, after_failure, after_success
from tests.hub.exchange.nodes import NOW

TERMS = BreakerTerms(failures=3, first=timedelta(seconds=10), longest=timedelta(minutes=5))


def failed(breaker: Breaker, times: int, *, chance: float = 0.5) -> Breaker:
    for number in range(times):
        at = NOW + timedelta(seconds=number)
        breaker = after_failure(breaker, TERMS, at=at, chance=chance, error="push-failed: x")
    return breaker


CLOSED = Breaker(state=BreakerState.CLOSED, changed_at=NOW - timedelta(days=1))


def test_it_opens_at_so_many_failures_in_a_row_and_not_before() -> None:
    """Two failures of three leave it closed, since when it was; the third opens it."""
    assert failed(CLOSED, 2).state is BreakerState.CLOSED
    assert failed(CLOSED, 2).changed_at == CLOSED.changed_at
    third = failed(CLOSED, 3)
    assert (third.state, third.changed_at) == (BreakerState.OPEN, NOW + timedelta(seconds=2))
    assert third.last_error == "push-failed: x"


def test_a_success_between_makes_the_row_begin_anew() -> None:
    """Only failures in a row count."""
    assert failed(after_success(failed(CLOSED, 2), at=NOW), 2).state is BreakerState.CLOSED


def test_a_failed_probe_opens_it_for_twice_as_long_up_to_the_longest() -> None:
    """10 s, 20 s, 40 s … 300 s; all the while it counts as opened when it first was."""
    waits, breaker = [], failed(CLOSED, 3)
    opened_at = breaker.changed_at
    for _ in range(8):
        assert breaker.probe_at is not None
        at = breaker.probe_at
        probing = Breaker(
            state=BreakerState.HALF_OPEN, changed_at=breaker.changed_at, failures=3, openings=breaker.openings
        )
        breaker = after_failure(probing, TERMS, at=at, chance=0.5, error="x")
        assert breaker.probe_at is not None
        waits.append((breaker.probe_at - at).total_seconds())
        assert breaker.changed_at == opened_at
    assert waits == [20, 40, 80, 160, 300, 300, 300, 300]


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 8), (0.5, 10), (1.0, 12)])
def test_the_wait_is_spread(chance: float, seconds: float) -> None:
    """A hub that many endpoints failed at once does not try them all at once."""
    breaker = failed(CLOSED, 3, chance=chance)
    assert breaker.probe_at == breaker.changed_at + timedelta(seconds=seconds)


def test_a_probe_that_comes_through_closes_it_for_good() -> None:
    """Nothing of the past failures is left: the next opening begins with the first wait."""
    closed = after_success(failed(CLOSED, 9), at=NOW)
    assert closed == Breaker(state=BreakerState.CLOSED, changed_at=NOW)
