"""Who is turned away for now is told when to come again, and not all at one moment."""

from __future__ import annotations

from random import Random

import pytest

from hub.http.problems import problem_response, retry_after
from schemas.errors import Rejected, Unavailable
from transport.problems import problem_of


@pytest.mark.parametrize("code", ["too-many-requests", "database-busy", "storage-full"])
def test_who_is_turned_away_is_told_when_to_come_again(code: str) -> None:
    """429, 503 and 507 carry Retry-After; its seconds differ, up to twice the least."""
    error = Unavailable(code, "Not now.")
    status = problem_of(error).status
    waits = {retry_after(error, status, Random(seed)) or 0 for seed in range(200)}
    assert len(waits) >= 2
    assert max(waits) <= 2 * min(waits)
    assert int(problem_response(error).headers["Retry-After"]) in waits


def test_a_wait_that_the_error_knows_is_told_as_it_is() -> None:
    """An error that knows its wait is not overruled."""
    error = Unavailable("too-many-requests", "Not now.")
    error.retry_after = 41.2
    assert problem_response(error).headers["Retry-After"] == "42"


def test_a_refusal_names_no_time() -> None:
    """What is refused for good is not to be tried again."""
    assert "Retry-After" not in problem_response(Rejected("secrecy-forbidden", "Never.")).headers
