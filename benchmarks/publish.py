"""Put runs into the docs: `python -m benchmarks.publish RUN.json…`, the files that `make bench` left.

Of several runs of one machine the later ones count for the rows that they have. The figures stand between two marks in
docs/performance.md and in docs/sizing.md, the charts in docs/charts/.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from benchmarks.charts import beside, standings
from benchmarks.measures import MEASUREMENTS
from benchmarks.report import figure
from benchmarks.sizing import LOADS, NEEDED, Measured, size_of
from runtime.terminal import run_program, say
from schemas.errors import Rejected

_DOCS: Final = Path(__file__).parents[1] / "docs"
_PAGE: Final = _DOCS / "performance.md"
_SIZING: Final = _DOCS / "sizing.md"
_CHARTS: Final = _DOCS / "charts"
_BEGIN, _END = "<!-- table: begin -->", "<!-- table: end -->"

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_show_locals=False)


@app.command()
def publish(runs: Annotated[list[Path], typer.Argument(help="Files of benchmarks/results, the oldest first.")]) -> None:
    """Write the table and the charts of runs into docs/, and the sizes that follow from them.

    For example: [bold]python -m benchmarks.publish benchmarks/results/20261122T060000Z.json[/bold]
    """
    loaded = [json.loads(path.read_text(encoding="utf-8")) for path in runs]
    rows = merged(loaded)
    page = _PAGE.read_text(encoding="utf-8")
    _CHARTS.mkdir(exist_ok=True)
    (_CHARTS / "standings.svg").write_text(standings(rows), encoding="utf-8")
    drawn = ["![How far each row is from its reach](charts/standings.svg)"]
    for name, title, unit in (("rates", "Documents a second", "documents/s"), ("processor", "Processor time", "ms")):
        if chosen := [row for row in rows if row["unit"] == unit and row["row"].startswith(_CHARTED[name])]:
            (_CHARTS / f"{name}.svg").write_text(beside(f"{title}: ours above, the reference below", chosen), "utf-8")
            drawn.append(f"![{title}](charts/{name}.svg)")
    _PAGE.write_text(with_table(page, "\n\n".join((table(rows), *drawn))), encoding="utf-8")
    say(f"{len(rows)} rows are in {_PAGE}.")
    if sizes := sizing_table(rows):
        _SIZING.write_text(with_table(_SIZING.read_text(encoding="utf-8"), sizes), encoding="utf-8")
        say(f"The sizes that follow from them are in {_SIZING}.")


#: Which rows of a unit a chart shows: those that can be compared with each other.
_CHARTED: Final = {"rates": ("exchange-",), "processor": ("hub-processor", "node-processor")}


def merged(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The newest of each row, in the order of the benchmark; each knows of which run it is."""
    if len({json.dumps(run["machine"], sort_keys=True) for run in runs}) != 1:
        raise Rejected("machines-differ", "These runs are not all of one machine.", mend="Publish one machine's runs.")
    newest: dict[str, dict[str, Any]] = {}
    for run in sorted(runs, key=lambda run: str(run["at"])):
        about = {key: run[key] for key in ("at", "quick", "machine", "warning")}
        newest |= {row["row"]: row | about for row in run["rows"]}
    order = [row.name for measurement in MEASUREMENTS for row in measurement.rows]
    return sorted(newest.values(), key=lambda row: order.index(row["row"]))


def table(rows: list[dict[str, Any]]) -> str:
    """The table in Markdown, with its date, machine and form."""
    lines = [
        _origin(rows),
        "",
        "| row | ours | reference | ratio | spread | reach | holds | scale | repeats |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        holds = {True: "yes", False: "**no**", None: "–"}[row["holds"]]
        low, high = row["spread"]
        lines.append(
            f"| `{row['row']}` | {figure(row['value'])} {row['unit']} | {figure(row['reference'])}"
            f" | {figure(row['ratio'])} | {figure(low)}–{figure(high)} | {row['reach'] or '–'} | {holds}"
            f" | {row['scale']} | {len(row['repeats'])} |"
        )
    lines += [f"\nOf the run at {at[:16]}Z: {warning}" for at, warning in _warnings(rows)]
    return "\n".join(lines)


def sizing_table(rows: list[dict[str, Any]]) -> str | None:
    """What hubs need by these rows, in Markdown; None if one is missing that the formula asks for."""
    figures = {row["row"]: row["value"] for row in rows}
    if not all(row.name in figures for row in NEEDED):
        return None
    used = [row for row in rows if row["row"] in {needed.name for needed in NEEDED}]
    measured = Measured.of(figures)
    return "\n".join(
        (
            _origin(used),
            "",
            f"*a* = {measured.accept:.2f} ms, *d* = {measured.deliver:.2f} ms, *w* = {measured.waiting:.0f} KiB:",
            "",
            "| a hub of | documents in the busiest second | processors | processes | memory of waiting nodes |",
            "|---|---|---|---|---|",
            *(
                f"| {load.name} | {size.busiest:.1f} | {size.processors:.2f} | {size.processes}"
                f" | {size.memory:.0f} MiB |"
                for load, size in ((load, size_of(load, measured)) for load in LOADS)
            ),
        )
    )


def _origin(rows: list[dict[str, Any]]) -> str:
    """Which machine, when, and which form: what a short form measured is not taken for more than it was."""
    machine = rows[0]["machine"]
    days = sorted({row["at"][:10] for row in rows})
    on = f"{machine['processors']} × {machine['model']}, {machine['memory'] / 2**30:.0f} GiB, {machine['system']}"
    short = [row["row"] for row in rows if row["quick"]]
    if len(short) == len(rows):
        form = "**The short form** (`make bench-quick`), each row in the scale that is told of it."
    elif short:
        form = f"The long form, but **the short form** of {', '.join(f'`{name}`' for name in short)}: see the scale."
    else:
        form = "The long form (`make bench`)."
    return f"{form} Medians; {on}, Python {machine['python']}; {' and '.join(days)}."


def _warnings(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return sorted({(row["at"], row["warning"]) for row in rows if row["warning"]})


def with_table(page: str, text: str) -> str:
    """`page` with `text` between its marks."""
    head, begin, rest = page.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not (begin and end):
        raise Rejected(
            "marks-missing", f"The page lacks {_BEGIN} and {_END}.", mend="Put them where the table is to be."
        )
    return f"{head}{_BEGIN}\n\n{text}\n\n{_END}{tail}"


if __name__ == "__main__":
    run_program(app)
