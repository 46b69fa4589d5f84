"""The page of figures: merged from runs, with a table and charts that say what the rows say."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from benchmarks.charts import beside, standing, standings
from benchmarks.measures import MEASUREMENTS
from benchmarks.publish import merged, sizing_table, table, with_table
from benchmarks.sizing import LOADS, NEEDED, Measured, size_of
from schemas.errors import Rejected

FIRST, SECOND, *_ = (row.name for measurement in MEASUREMENTS for row in measurement.rows)
MACHINE = {"processors": 2, "model": "M", "memory": 2**34, "system": "Linux", "python": "3.11"}


def row(name: str, ratio: float, reach: str | None = "at least 4", *, holds: bool | None = False) -> dict[str, Any]:
    figures = {"row": name, "value": ratio * 10, "unit": "documents/s", "reference": 10.0, "ratio": ratio}
    return figures | {
        "reach": reach,
        "holds": holds,
        "spread": [ratio, ratio],
        "scale": "3 documents",
        "repeats": [{}] * 5,
    }


def run(at: str, *rows: dict[str, Any], machine: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"at": at, "quick": True, "machine": machine or MACHINE, "warning": None, "rows": list(rows)}


def test_of_several_runs_the_newest_counts_for_each_row() -> None:
    """A row that was measured again is shown as it was last, others stay, and all stand in the benchmark's order."""
    older = run("2026-11-21T08:00:00", row(SECOND, 1), row(FIRST, 1))
    rows = merged([run("2026-11-22T08:00:00", row(FIRST, 2)), older])
    assert [(each["row"], each["ratio"]) for each in rows] == [(FIRST, 2), (SECOND, 1)]


def test_runs_of_two_machines_are_not_put_together() -> None:
    """A table of two machines would compare what cannot be compared."""
    other = run("2026-11-22T08:00:00", row(FIRST, 1), machine=MACHINE | {"processors": 64})
    with pytest.raises(Rejected, match="not all of one machine"):
        merged([run("2026-11-21T08:00:00", row(FIRST, 1)), other])


def test_the_table_says_what_is_not_reached_and_who_disturbed() -> None:
    """A row that does not hold stands out, and a run that was not alone says so below the table."""
    disturbed = run("2026-11-22T08:00:00", row(FIRST, 1)) | {"warning": "Other programs used 50% of the machine."}
    text = table(merged([disturbed]))
    assert f"| `{FIRST}` | 10 documents/s | 10 | 1 | 1–1 | at least 4 | **no** | 3 documents | 5 |" in text
    assert "Of the run at 2026-11-22T08:00Z: Other programs used 50% of the machine." in text


def test_a_short_form_is_called_one() -> None:
    """Whoever reads a table of a short form sees it before the first figure, and which rows are meant if not all."""
    short, long = run("2026-11-22T08:00:00", row(FIRST, 1)), run("2026-11-22T09:00:00", row(SECOND, 1))
    long["quick"] = False
    assert table(merged([short])).startswith("**The short form** (`make bench-quick`)")
    assert table(merged([long])).startswith("The long form (`make bench`).")
    assert table(merged([short, long])).startswith(f"The long form, but **the short form** of `{FIRST}`:")


def test_sizes_follow_from_the_rows_that_are_published() -> None:
    """The page of sizes has the formula's figures for these rows, and stays as it was if the formula lacks one."""
    rows = [row(needed.name, number) for number, needed in enumerate(NEEDED, start=1)]
    text = sizing_table(merged([run("2026-11-22T08:00:00", *rows)]))
    assert text is not None
    measured = Measured.of({each["row"]: each["value"] for each in rows})
    assert all(f"| {load.name} | {size_of(load, measured).busiest:.1f} |" in text for load in LOADS)
    assert "*a* = 10.00 ms, *d* = 10.00 ms, *w* = 30 KiB" in text
    assert sizing_table(merged([run("2026-11-22T08:00:00", *rows[1:])])) is None


def test_the_table_replaces_the_one_before() -> None:
    """What stands around the marks stays, what stands between them goes."""
    page = "before\n<!-- table: begin -->\nold\n<!-- table: end -->\nafter\n"
    assert with_table(page, "new") == "before\n<!-- table: begin -->\n\nnew\n\n<!-- table: end -->\nafter\n"


@pytest.mark.parametrize(
    ("reach", "ratio", "far"), [("at least 4", 2, 0.5), ("at most 4", 2, 2), ("at most 4", 16, 0.25)]
)
def test_a_standing_is_one_where_a_row_just_holds(reach: str, ratio: float, far: float) -> None:
    """Larger is better on both sides, so that one chart can show all rows."""
    assert standing(row(FIRST, ratio, reach)) == far


def test_charts_are_svg_with_a_bar_for_each_figure() -> None:
    """A row without reach has no standing; beside its reference each figure has two bars."""
    rows = [row(FIRST, 2), row(SECOND, 1, None, holds=None)]
    bars = [
        len(etree.fromstring(chart).findall("{http://www.w3.org/2000/svg}rect[@height='18']"))
        for chart in (standings(rows), beside("Rates & more", rows))
    ]
    assert bars == [1, 4]
