"""The benchmark's own arithmetic, and the form of what it leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.measures import MEASUREMENTS
from benchmarks.measures.express import longer
from benchmarks.report import LATEST, Report, cells, figure
from benchmarks.rows import Pair, Reach, Result, Row, at_least, at_most, percentile
from schemas.errors import Unavailable

ROW = Row("speed", "documents a second", "documents/s", "another program", at_least(2))
PAIRS = (Pair(30, 10), Pair(10, 10), Pair(80, 20))


def test_the_ratio_is_the_median_of_the_ratios() -> None:
    """A repeat that was slowed on both sides counts as what it is: its ratio."""
    result = Result(ROW, "3 documents", PAIRS)
    assert (result.value, result.reference, result.ratio) == (30, 10, 3)


def test_the_spread_is_from_the_lowest_ratio_to_the_highest() -> None:
    """A median alone would hide that one repeat was at 1 and another at 4."""
    assert Result(ROW, "3 documents", PAIRS).spread == (1, 4)


@pytest.mark.parametrize(
    ("reach", "ratio", "holds"),
    [(at_least(2), 2, True), (at_least(2), 1.99, False), (at_most(2), 2, True), (at_most(2), 2.01, False)],
)
def test_a_reach_holds_up_to_its_bound(reach: Reach, ratio: float, holds: bool) -> None:
    """At least 2 holds at 2 and above, at most 2 at 2 and below."""
    assert reach.holds(ratio) is holds


def test_nothing_measured_is_an_error() -> None:
    """A row without a repeat is never shown as a figure."""
    with pytest.raises(ValueError, match="speed"):
        Result(ROW, "nothing", ())


def test_a_row_without_reach_neither_holds_nor_fails() -> None:
    """A figure that is told beside another one has no verdict."""
    result = Result(Row("speed", "documents a second", "documents/s", "another program"), "", PAIRS)
    assert (result.holds, result.as_json()["reach"]) == (None, None)


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100)])
def test_a_percentile_is_one_of_the_values(share: float, value: float) -> None:
    """p50 of 1 … 100 is 50, p99 is 99: the nearest rank, nothing in between."""
    assert percentile(range(100, 0, -1), share) == value


def test_latest_json_is_a_list_of_rows_in_the_form_that_is_documented(tmp_path: Path) -> None:
    """Each row has these members and no others, and its verdict is that of its ratio."""
    report = Report([Result(ROW, "3 documents", PAIRS)], datetime(2026, 11, 22, tzinfo=UTC), True, {}, None, {})
    report.write(tmp_path)
    [row] = json.loads((tmp_path / LATEST).read_text())
    assert row == {
        "row": "speed",
        "value": 30,
        "unit": "documents/s",
        "against": "another program",
        "reference": 10,
        "ratio": 3,
        "reach": "at least 2",
        "holds": True,
        "spread": [1, 4],
    }


def test_the_run_beside_it_keeps_every_repeat(tmp_path: Path) -> None:
    """Who doubts a median finds what it was made of, and how large the run was."""
    Report([Result(ROW, "3 documents", PAIRS)], datetime(2026, 11, 22, tzinfo=UTC), True, {}, None, {}).write(tmp_path)
    [run] = [json.loads(path.read_text()) for path in tmp_path.iterdir() if path.name != LATEST]
    assert [(pair["value"], pair["reference"]) for pair in run["rows"][0]["repeats"]] == [(30, 10), (10, 10), (80, 20)]
    assert (run["quick"], run["rows"][0]["scale"]) == (True, "3 documents")


def test_a_row_of_the_table_says_whether_it_holds() -> None:
    """What is not reached is said in the table, in a word."""
    missed = Result(ROW, "3 documents", (Pair(10, 10),))
    assert cells(missed)[5:9] == ("1", "1–1", "at least 2", "no")


@pytest.mark.parametrize(("value", "text"), [(0.12345, "0.123"), (4.5678, "4.57"), (1234.5, "1,234")])
def test_figures_have_three_digits(value: float, text: str) -> None:
    """No figure pretends to more than was measured."""
    assert figure(value) == text


def test_a_backlog_that_is_gone_too_soon_is_doubled_up_to_a_length() -> None:
    """A fast machine gets a longer backlog rather than no figure; one that works off any length is told so."""
    assert longer(500, 2_000) == 1_000
    assert longer(1_000, 2_000) == 2_000
    with pytest.raises(Unavailable) as refused:
        longer(2_000, 2_000)
    assert refused.value.code == "backlog-gone"


def test_rows_have_names_of_their_own() -> None:
    """`--row NAME` selects one row and no other."""
    names = [row.name for measurement in MEASUREMENTS for row in measurement.rows]
    assert len(names) == len(set(names))
