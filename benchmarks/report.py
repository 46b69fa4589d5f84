"""What a run leaves: a table for people, `latest.json` for machines, and the run itself with every repeat."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.rows import Result
from runtime.terminal import show_table

RESULTS: Final = Path(__file__).parent / "results"
LATEST: Final = "latest.json"

_COLUMNS: Final = ("row", "value", "unit", "against", "reference", "ratio", "spread", "reach", "holds", "scale")


@dataclass(frozen=True, slots=True)
class Report:
    """The rows of one run, and what one must know to read them. `seconds` is how long each measurement took."""

    results: Sequence[Result]
    at: datetime
    quick: bool
    machine: dict[str, Any]
    warning: str | None
    seconds: Mapping[str, float]

    def show(self) -> None:
        form = "short form" if self.quick else "long form"
        cores, model = self.machine["processors"], self.machine["model"]
        took = f"measured in {sum(self.seconds.values()) / 60:.1f} minutes"
        title = f"Congvan on {cores} × {model}, {form}, {self.at:%Y-%m-%d}, {took}"
        show_table(title, _COLUMNS, map(cells, self.results))

    def write(self, folder: Path) -> None:
        """Leave `latest.json`, the rows alone, and beside it this run with its repeats and its machine."""
        folder.mkdir(exist_ok=True)
        rows = [result.as_json() for result in self.results]
        _write(folder / LATEST, rows)
        run = {
            "at": self.at.isoformat(),
            "quick": self.quick,
            "machine": self.machine,
            "warning": self.warning,
            "seconds": {name: round(seconds, 1) for name, seconds in self.seconds.items()},
            "rows": [
                row | {"title": result.row.title, "scale": result.scale, "repeats": [asdict(p) for p in result.pairs]}
                for row, result in zip(rows, self.results, strict=True)
            ],
        }
        _write(folder / f"{self.at:%Y%m%dT%H%M%SZ}.json", run)


def cells(result: Result) -> tuple[str, ...]:
    """A row of the table."""
    low, high = result.spread
    return (
        f"{result.row.title} ({result.row.name})",
        figure(result.value),
        result.row.unit,
        result.row.against,
        figure(result.reference),
        figure(result.ratio),
        f"{figure(low)}–{figure(high)}",
        "–" if result.row.reach is None else str(result.row.reach),
        {True: "yes", False: "no", None: "–"}[result.holds],
        result.scale,
    )


def figure(value: float) -> str:
    """Three digits that say something: 0.123, 4.56, 78.9, 1,234."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
