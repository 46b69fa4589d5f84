"""The order of statuses: what may follow what, as docs/business.md says it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from schemas.message import StatusCode
from schemas.status_order import FINAL_STAGE, STATUS_NAMES, may_follow, stage_of


@pytest.mark.parametrize("on_request", [False, True])
def test_every_way_ends(on_request: bool) -> None:
    """Nothing follows a final status, and what follows another never lies before it."""
    for last in StatusCode:
        following = may_follow(last, on_request=on_request)
        if stage_of(last) == FINAL_STAGE or last is StatusCode.TAKEN_BACK:
            assert following == ()
        assert all(stage_of(code) >= stage_of(last) for code in following)


@pytest.mark.parametrize(
    "way",
    ["01 03 04 05 06", "03 06", "02", "01 02", "03 02", "01 03 05 04 05 06", "01 05 06", "06", "04 02", "01 03 03"],
)
def test_the_ways_of_an_office_are_open(way: str) -> None:
    """A document may be refused, returned, worked on by several, finished at once; steps may be left out."""
    steps: list[StatusCode | None] = [None, *map(StatusCode, way.split())]
    for last, code in pairwise(steps):
        assert code in may_follow(last, on_request=False)


@pytest.mark.parametrize("way", ["03 01", "04 03", "05 01", "06 03", "06 06", "02 03", "01 15", "03 13"])
def test_what_makes_no_sense_is_closed(way: str) -> None:
    """Nobody goes back, goes on after the end, or answers where nothing was asked."""
    last, code = map(StatusCode, way.split())
    assert code not in may_follow(last, on_request=False)


def test_a_request_is_answered_once() -> None:
    """A recall or update is agreed to or refused, accepted before or not; after the answer nothing follows."""
    for last in (None, StatusCode.ARRIVED, StatusCode.ACCEPTED):
        assert {"02", "15", "16"} <= set(may_follow(last, on_request=True))
        assert not {"04", "05", "06"} & set(may_follow(last, on_request=True))
    assert may_follow(StatusCode.REQUEST_REFUSED, on_request=True) == ()


def test_every_status_has_its_name_in_both_languages() -> None:
    """What people are shown has a Vietnamese and an English word for each status."""
    assert set(STATUS_NAMES) == set(StatusCode)
    assert all(name.vietnamese and name.english for name in STATUS_NAMES.values())
