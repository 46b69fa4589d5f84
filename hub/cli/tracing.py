"""`congvan hub trace`: the whole story of a document."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.markup import escape

from hub.cli.options import Dir, Json, with_hub
from hub.foundation import Foundation
from hub.store.deliveries import DeliveryState
from hub.usecases.story import Story, story_of
from runtime.terminal import local_time, say, show_json, show_table

#: Rows of a table that people still read; JSON has all.
_ROWS: Final = 100


def trace(
    message: Annotated[
        str,
        typer.Argument(
            metavar="ID|DocumentId", help="A message id, 8 digits or more of its beginning, or a DocumentId."
        ),
    ],
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Where is my document? Its whole story: accepted, each delivery, every receipt, what speaks of it, every order.

    A DocumentId finds the newest document that bears it; others that do are listed.

    Examples:

    [bold]congvan hub trace 9f86d081884c[/bold]

    [bold]congvan hub trace 'G22,2026/11/20,6101/VPCP-KSTT' --json[/bold]
    """

    async def question(hub: Foundation) -> Story:
        return await story_of(hub.database, message, hub.clock)

    story = with_hub(folder, question)
    if as_json:
        show_json(asdict(story))
    else:
        _show(story)


def _show(story: Story) -> None:
    say(f"[bold]{story.kind} {escape(story.document_id or '')} of {story.sender}[/bold]")
    say(f"Message:  {story.message_id}")
    say(f"Accepted: {local_time(story.accepted_at)}, from the connection {escape(story.connection)}")
    say(f"Expires:  {local_time(story.expires_at)}")
    for about in story.speaks_of:
        say(f"About:    {about}")
    if story.purged_at is not None:
        say(f"Its payload was dropped on {local_time(story.purged_at)} by the retention rule.")
    _show_deliveries(story)
    show_table(
        "What happened",
        ("when", "event", "recipient", "by", "detail"),
        ((step.at, step.event, step.recipient, step.party, step.detail) for step in story.steps[-_ROWS:]),
    )
    if len(story.steps) > _ROWS or story.more_receipts:
        say(f"The newest {_ROWS} steps; --json shows the others.")
    if story.speaking:
        show_table(
            "Messages that speak of it",
            ("accepted", "what", "from", "says", "message", "deliveries"),
            (
                (
                    each.accepted_at,
                    each.kind,
                    each.sender,
                    each.says,
                    each.message_id[:12],
                    ", ".join(f"{number} {state}" for state, number in each.deliveries.items()),
                )
                for each in story.speaking[-_ROWS:]
            ),
        )
    if story.namesakes:
        show_table(
            "Others that answer to this name",
            ("accepted", "what", "from", "message"),
            ((each.accepted_at, each.kind, each.sender, each.message_id) for each in story.namesakes[:_ROWS]),
        )


def _show_deliveries(story: Story) -> None:
    """What is not delivered comes first: that is what is asked about."""
    rows = sorted(story.deliveries, key=lambda each: (each.state is DeliveryState.DELIVERED, each.recipient))
    show_table(
        "Deliveries",
        ("recipient", "connection", "state", "since", "attempts", "leased until", "expires", "last error"),
        (
            (
                each.recipient,
                each.connection,
                each.state,
                each.since,
                each.attempts,
                each.leased_until,
                each.expires_at,
                each.last_error,
            )
            for each in rows[:_ROWS]
        ),
    )
    if len(rows) > _ROWS:
        say(f"And {len(rows) - _ROWS} more.")
    if story.unwritten:
        say(f"The fan-out has still to write {len(story.unwritten)} of its {story.recipients} deliveries.")
