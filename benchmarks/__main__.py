"""`make bench`: every figure beside a peer's or a floor's of the same run, so that it says the same on any machine."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.machine import Watch, description
from benchmarks.measurement import Measurement, Run
from benchmarks.measures import MEASUREMENTS
from benchmarks.report import RESULTS, Report
from benchmarks.rows import Result
from runtime.logs import LogFormat, configure_logs
from runtime.terminal import err, run_program, say, show_json, show_table
from schemas.errors import Rejected, Unavailable

#: What outlives a run, and the folders of runs: on the disk of the checkout, for a temporary one may be memory.
_WORK = Path(__file__).parent / ".work"


@dataclass(slots=True)
class _Done:
    """What was measured, how many seconds each measurement took, and which failed; they go by their first rows."""

    results: list[Result] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_show_locals=False)


@app.command()
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Each row in a short form, which says its scale.")] = False,
    row: Annotated[list[str] | None, typer.Option(help="Measure this row alone; may be repeated.")] = None,
    list_rows: Annotated[bool, typer.Option("--list", help="Show the rows and what they should reach.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Rows as JSON instead of a table.")] = False,
) -> None:
    """Measure Congvan against its peers and against the floors of this machine.

    Each row is a ratio: our figure by the one that it is measured against, taken by turns in the same run. Results go
    to benchmarks/results/. For example:

    [bold]python -m benchmarks --quick --row hub-processor[/bold]
    """
    if list_rows:
        _show_rows()
        return
    configure_logs(LogFormat.TEXT, "error")
    names = frozenset(row or [each.name for measurement in MEASUREMENTS for each in measurement.rows])
    chosen = _chosen(names)
    _WORK.mkdir(exist_ok=True)
    load = os.getloadavg()[0]
    if load > 0.3 * (os.cpu_count() or 1):
        err.print(
            f"[yellow]The machine is busy (load average {load:.1f}): the figures will be worse than its own.[/yellow]"
        )
    _end_in_order()
    watch = Watch.begin()
    with tempfile.TemporaryDirectory(prefix="run-", dir=_WORK) as folder:
        run = Run(Path(folder), _WORK, quick, names, tell=lambda text: err.print(f"[dim]{text}[/dim]"))
        done = asyncio.run(_measured(run, chosen))
    report = Report(done.results, datetime.now(UTC), quick, description(), watch.warning(), done.seconds)
    report.write(RESULTS)
    if as_json:
        show_json([result.as_json() for result in report.results])
    else:
        report.show()
        if report.warning:
            say(f"[yellow]{report.warning}[/yellow]")
    if done.failed:
        raise Unavailable(
            "rows-failed",
            f"Not measured: {', '.join(done.failed)}. What was measured is in {RESULTS}.",
            mend="Measure them again: --row NAME.",
        )


def _end_in_order() -> None:
    """Whoever ends a run early, by `timeout` too or by closing the terminal, leaves no program behind."""
    # A shell starts with SIGINT ignored what it is told to run by `&` in a script, and Python then leaves it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda *_: signal.raise_signal(signal.SIGINT))


def _chosen(names: frozenset[str]) -> list[Measurement]:
    known = {each.name for measurement in MEASUREMENTS for each in measurement.rows}
    unknown = sorted(names - known)
    if unknown:
        raise Rejected("row-unknown", f"There is no row {unknown[0]!r}.", mend=f"The rows: {', '.join(sorted(known))}.")
    return [each for each in MEASUREMENTS if any(row.name in names for row in each.rows)]


async def _measured(run: Run, measurements: list[Measurement]) -> _Done:
    """Measure one after the other. One that fails takes no others with it: what they measured took minutes."""
    done = _Done()
    for measurement in measurements:
        name = measurement.rows[0].name
        begun = time.monotonic()
        try:
            done.results += [result for result in await measurement.measure(run) if result.row.name in run.wanted]
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told, and what was measured is kept
            err.print(f"[red]{name} failed: {type(error).__name__}: {error}[/red]")
            done.failed.append(name)
            continue
        done.seconds[name] = time.monotonic() - begun
        run.tell(f"{name}: measured in {done.seconds[name]:.0f} s")
    return done


def _show_rows() -> None:
    rows = [(row.name, row.title, row.against, row.reach) for each in MEASUREMENTS for row in each.rows]
    show_table("The rows", ("row", "what", "against", "reach"), rows)


if __name__ == "__main__":
    run_program(app)
