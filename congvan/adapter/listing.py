"""`congvan adapter list`: the adapters that a node's settings may name."""

from __future__ import annotations

from typing import Annotated

import typer

from adapters.kit.targets import probe_target
from adapters.loading import known_adapters
from runtime.terminal import show_json, show_table


def list_adapters(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Show the adapters that are installed: those that ship, and those that other packages bring.

    A name is what stands in a node's settings: the table [bold]adapters.filedrop[/bold]. One with a probe is checked
    whole by [bold]congvan adapter check[/bold].

    Example: [bold]congvan adapter list[/bold]
    """
    rows = [
        {"name": one.name, "entry_point": one.value, "package": one.package, "probe": probe_target(one.name)}
        for one in known_adapters()
    ]
    if as_json:
        show_json(rows)
    else:
        show_table("", ("name", "package", "entry point", "probe"), (_cells(row) for row in rows))


def _cells(row: dict[str, str | None]) -> tuple[str | None, ...]:
    return row["name"], row["package"], row["entry_point"], row["probe"]
