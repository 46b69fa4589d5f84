"""The sizing table is the formula of docs/sizing.md on figures of a run, and on nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.sizing import BUSIEST, BUSY, LOADS, Load, Measured, app, size_of
from schemas.errors import Rejected

ROWS = {"hub-processor": 2.0, "hub-processor-whole-way": 5.0, "waiting-each": 64.0}


def test_the_formula_is_that_of_the_page() -> None:
    """36,000 documents a day, a fifth of them in an hour, are two a second; three recipients cost 3 ms each."""
    size = size_of(Load("x", 36_000, 3, 1024), Measured.of(ROWS))
    assert size.busiest == pytest.approx(2)
    assert size.processors == pytest.approx(2 * (2 + 3 * 3) / 1000 / 0.6)
    assert size.memory == pytest.approx(64)
    assert size.processes == 2
    page = (Path(__file__).parents[2] / "docs" / "sizing.md").read_text(encoding="utf-8")
    assert f"{BUSIEST:.0%}" in page
    assert f"{BUSY:.0%}" in page
    assert all(re.search(rf"{load.name} .*{load.documents:,}", page) for load in LOADS)


def test_a_run_without_the_rows_gives_no_size(tmp_path: Path) -> None:
    """A missing row is named; no figure is made up in its place."""
    with pytest.raises(Rejected) as caught:
        Measured.of({"hub-processor": 2.0})
    assert "hub-processor-whole-way" in caught.value.message
    results = tmp_path / "latest.json"
    results.write_text(json.dumps([{"row": name, "value": value} for name, value in ROWS.items()]))
    shown = CliRunner().invoke(app, ["--results", str(results), "--json"])
    assert [each["load"] for each in json.loads(shown.stdout)] == [load.name for load in LOADS]
