"""`congvan hub balance` and `trace`: what became of the documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from hub.cli.options import Dir, Json, with_hub
from hub.foundation import Foundation
from hub.usecases.balance import Balance, Tally, balance_of
from hub.usecases.trace import Traces
from runtime.terminal import local_time, say, show_json, show_table
from transport.wire import MessageTrace

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


def trace(
    message: Annotated[str, typer.Argument(metavar="MESSAGE", help="The message id: 64 hex digits.")],
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Where is my document? All deliveries of a message, and how each stands.

    Example: [bold]congvan hub trace 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08[/bold]
    """

    async def question(hub: Foundation) -> MessageTrace:
        return await Traces(hub.database, hub.clock).trace(message, None)

    found = with_hub(folder, question)
    if as_json:
        show_json(found.model_dump(mode="json"))
        return
    show_table(
        f"{found.kind} {found.document_id or ''} of {found.sender}, accepted {local_time(found.accepted_at)}",
        ("recipient", "state", "since", "attempts", "last error"),
        (
            (delivery.recipient, delivery.state, delivery.updated_at, delivery.attempts, delivery.last_error)
            for delivery in found.deliveries
        ),
    )
    say(f"{len(found.receipts)} receipts.")


def _tallies(tallies: Mapping[str, Tally]) -> dict[str, Any]:
    return {code: asdict(tally) for code, tally in tallies.items()}


def _cells(tally: Tally) -> tuple[int, ...]:
    return tuple(getattr(tally, column) for column in _COLUMNS)
