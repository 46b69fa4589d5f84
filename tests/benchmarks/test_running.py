"""A run of the benchmark: its rows one after the other, and what is left of it when one fails."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
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


#: A run of one row, whose measurement starts a server and says its number; started as a script does by `&`.
_RUN = """
import asyncio, signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.SIG_IGN)
import benchmarks.__main__ as program
from benchmarks.rows import Row
from runtime.terminal import run_program

class Serving:
    rows = (Row("serving", "serving", "s", "nothing"),)

    async def measure(self, run):
        server = await asyncio.create_subprocess_exec("sleep", "600")
        try:
            print(server.pid, flush=True)
            await server.wait()
        finally:
            server.kill()
            await server.wait()

program.MEASUREMENTS = (Serving(),)
program._WORK = Path(sys.argv.pop())
run_program(program.app)
"""


def test_a_run_that_is_ended_leaves_no_program_behind(tmp_path: Path) -> None:
    """Ended by a signal, also where a shell has it ignore Ctrl-C, it stops its servers and does not end well."""
    work = tmp_path / "work"
    with subprocess.Popen([sys.executable, "-c", _RUN, str(work)], stdout=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout is not None
            server = int(run.stdout.readline())
            run.send_signal(signal.SIGTERM)
            assert run.wait(60) == 130
        finally:
            run.kill()
    assert not Path(f"/proc/{server}").exists()
    assert list(work.iterdir()) == []
