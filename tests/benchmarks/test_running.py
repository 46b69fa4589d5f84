"""A run of the benchmark: its rows one after the other, and what is left of it when one fails."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

import benchmarks.__main__ as program
from benchmarks.measurement import Run
from benchmarks.report import LATEST
from benchmarks.rows import Pair, Result, Row
from schemas.errors import Unavailable


@dataclass
class _Measured:
    """A measurement of one row; without a figure it fails."""

    rows: ClassVar[tuple[Row, ...]] = ()
    figure: float | None

    async def measure(self, run: Run) -> Sequence[Result]:
        if self.figure is None:
            raise ValueError("the peer does not answer")
        return [Result(self.rows[0], "1 document", (Pair(self.figure, 1.0),))]


def _measured(name: str, figure: float | None) -> Any:
    row = Row(name, name, "s", "nothing")
    return type(name, (_Measured,), {"rows": (row,)})(figure)


def test_a_row_that_fails_takes_no_others_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the others measured is written and shown; the run says which is missing, and does not end well."""
    rows = (_measured("first", 1.0), _measured("second", None), _measured("third", 3.0))
    monkeypatch.setattr(program, "MEASUREMENTS", rows)
    monkeypatch.setattr(program, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(program, "_WORK", tmp_path / "work")
    monkeypatch.setattr(program, "configure_logs", lambda *_: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    outcome = CliRunner().invoke(program.app, ["--quick", "--json"])
    assert isinstance(outcome.exception, Unavailable)
    assert (outcome.exception.code, "second" in outcome.exception.message) == ("rows-failed", True)
    latest = json.loads((tmp_path / "results" / LATEST).read_text())
    assert [(row["row"], row["value"]) for row in latest] == [("first", 1.0), ("third", 3.0)]
    [run] = [json.loads(path.read_text()) for path in (tmp_path / "results").iterdir() if path.name != LATEST]
    assert list(run["seconds"]) == ["first", "third"]
