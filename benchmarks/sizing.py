"""How many processors and how much memory a hub needs, from what a run of the benchmark measured on this machine.

Nothing here is a figure of its own: docs/sizing.md gives the formula, `benchmarks/results/latest.json` the figures.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from benchmarks.measures.exchanging import PASSED
from benchmarks.measures.hub_processor import ACCEPT
from benchmarks.measures.waiting import EACH
from benchmarks.report import RESULTS
from runtime.terminal import run_program, show_json, show_table
from schemas.errors import Rejected

#: The part of a day's documents that comes in its busiest hour, and how busy processors may be in that hour.
BUSIEST: Final = 0.2
BUSY: Final = 0.6
KIB: Final = 1024

#: The rows whose figures the formula takes.
NEEDED: Final = (ACCEPT, PASSED, EACH)

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_show_locals=False)


@dataclass(frozen=True, slots=True)
class Load:
    """What a hub is to carry: documents a day, recipients of each in the mean, nodes that wait for mail."""

    name: str
    documents: int
    recipients: float
    nodes: int


LOADS: Final = (
    Load("a ministry", 2_000, 5, 30),
    Load("a province", 20_000, 3, 500),
    Load("several provinces", 200_000, 3, 3_000),
    Load("the nation", 1_000_000, 4, 10_000),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds of processor time to accept a document and for each recipient; KiB that a waiting node takes."""

    accept: float
    deliver: float
    waiting: float

    @classmethod
    def of(cls, rows: Mapping[str, float]) -> Measured:
        """Raises `row-missing` if the run did not measure all that is needed."""
        for name in (row.name for row in NEEDED):
            if name not in rows:
                raise Rejected("row-missing", f"The last run has no row {name}.", mend=f"Run it: --row {name}")
        accept = rows[ACCEPT.name]
        return cls(accept, max(rows[PASSED.name] - accept, 0.0), rows[EACH.name])


@dataclass(frozen=True, slots=True)
class Size:
    """What the load needs. `busiest` in documents a second; memory in MiB for the waiting nodes alone."""

    busiest: float
    processors: float
    memory: float

    @property
    def processes(self) -> int:
        """Hub processes of one processor each, and one more for the day when one is away."""
        return math.ceil(self.processors) + 1


def size_of(load: Load, measured: Measured) -> Size:
    """The formula of docs/sizing.md."""
    busiest = load.documents * BUSIEST / 3600
    used = busiest * (measured.accept + load.recipients * measured.deliver) / 1000
    return Size(busiest, used / BUSY, load.nodes * measured.waiting / KIB)


@app.command()
def sizing(
    results: Annotated[Path, typer.Option(help="The rows of a run.")] = RESULTS / "latest.json",
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Show what hubs of several sizes need, as the last run of the benchmark measured it.

    Example: [bold]python -m benchmarks.sizing[/bold]
    """
    if not results.is_file():
        raise Rejected("results-missing", f"{results} is not there.", mend="Run `make bench` first.")
    measured = Measured.of({row["row"]: row["value"] for row in json.loads(results.read_text(encoding="utf-8"))})
    sizes = [(load, size_of(load, measured)) for load in LOADS]
    if as_json:
        show_json(
            [
                {"load": load.name, "processors": size.processors, "processes": size.processes, "memory": size.memory}
                for load, size in sizes
            ]
        )
        return
    show_table(
        f"Accept {measured.accept:.2f} ms, each recipient {measured.deliver:.2f} ms, a node {measured.waiting:.0f} KiB",
        (
            "hub of",
            "documents a day",
            "recipients",
            "nodes",
            "a second at most",
            "processors",
            "processes",
            "MiB waiting",
        ),
        (
            (
                *(load.name, f"{load.documents:,}", f"{load.recipients:g}", f"{load.nodes:,}"),
                *(f"{size.busiest:.1f}", f"{size.processors:.2f}", size.processes, f"{size.memory:.0f}"),
            )
            for load, size in sizes
        ),
    )


if __name__ == "__main__":
    run_program(app)
