"""`congvan hub balance`: the count of what became of the documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import typer

from hub.cli.options import Dir, Json, with_hub
from hub.foundation import Foundation
from hub.usecases.balance import Balance, Tally, balance_of
from runtime.terminal import say, show_json, show_table

_COLUMNS: Final = ("accepted", "delivered", "refused", "expired", "cancelled", "pending")


def balance(folder: Dir = Path(), as_json: Json = False) -> None:
    """Count the deliveries: accepted = delivered + refused + expired + cancelled + pending, for each sender and in all.

    Exits with 1 if the count does not balance: then something is lost, and `congvan hub trace` finds what.

    Example: [bold]congvan hub balance --dir /srv/hub[/bold]
    """

    async def question(hub: Foundation) -> Balance:
        return await balance_of(hub.database)

    counted = with_hub(folder, question)
    if as_json:
        show_json(
            {
                "balances": counted.balances,
                "overall": asdict(counted.overall),
                "sent": _tallies(counted.sent),
                "received": _tallies(counted.received),
            }
        )
    else:
        rows = [("all", counted.overall), *counted.sent.items()]
        show_table("Deliveries, by sender", ("sender", *_COLUMNS), ((code, *_cells(tally)) for code, tally in rows))
        say("It balances." if counted.balances else "[red]It does not balance.[/red]")
    if not counted.balances:
        raise typer.Exit(1)


def _tallies(tallies: Mapping[str, Tally]) -> dict[str, Any]:
    return {code: asdict(tally) for code, tally in tallies.items()}


def _cells(tally: Tally) -> tuple[int, ...]:
    return tuple(getattr(tally, column) for column in _COLUMNS)
