"""`congvan node trace`: what happened to one message, as this node saw it and as its hub does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from node.cli.options import SHOWN, All, Dir, Json, with_node
from node.cli.showing import facts, plain, stand_counts, story_lines
from node.foundation import Foundation
from node.store.records import MessageStory
from runtime.terminal import local_time, say, show_json, show_table
from schemas.errors import CongvanError
from transport.wire import MessageTrace


@dataclass(frozen=True, slots=True)
class _Traced:
    """The story on record here; what the hub answered, or why it did not, if it was asked."""

    story: MessageStory
    hub: MessageTrace | None = None
    trouble: CongvanError | None = None


def trace(
    message: Annotated[
        str,
        typer.Argument(metavar="ID|DocumentId", help="Its message id, 8 digits of it or more, or the DocumentId."),
    ],
    *,
    ask_hub: Annotated[
        bool, typer.Option("--hub", help="Ask the hub as well, as whose sender or recipient this node may.")
    ] = False,
    every: All = False,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Where is my document? What happened to it, step by step; `congvan node show` says what it is.

    Of a circular the first 100 receipts and the first 100 messages that speak of it are told, with --all each.

    Exits with 1 if the hub was asked and did not answer.

    Example: [bold]congvan node trace 3fa2b1c0 --hub[/bold]
    """
    most = None if every else SHOWN
    traced = with_node(folder, lambda node: _ask(node, message, most, ask_hub))
    if as_json:
        show_json(
            {
                "message": plain(traced.story.message),
                "events": plain(traced.story.events),
                "hub": traced.hub.model_dump(mode="json", exclude={"receipts", "proofs"}) if traced.hub else None,
                "hub_trouble": str(traced.trouble) if traced.trouble else None,
            }
        )
    else:
        _show(traced, most)
    if traced.trouble is not None:
        raise typer.Exit(1)


async def _ask(node: Foundation, message: str, most: int | None, ask_hub: bool) -> _Traced:
    story = await node.queries.story(message, most=most)
    if not ask_hub:
        return _Traced(story)
    try:
        async with node.hub_client() as hub:
            return _Traced(story, hub=await hub.message(story.message.message_id))
    except CongvanError as error:
        # What is known here is worth as much while the hub cannot be reached.
        return _Traced(story, trouble=error)


def _show(traced: _Traced, most: int | None) -> None:
    story = traced.story
    facts(story.message)
    if story.outbox is not None and len(story.outbox.stands) > 0:
        say(f"Stands:   {stand_counts(story.outbox.stands)}")
    story_lines(story.events)
    if len(story.receipts) < story.receipts_count:
        say(f"… and {story.receipts_count - len(story.receipts)} receipts more: --all tells each.")
    if traced.trouble is not None:
        say(f"[yellow]The hub was asked and says nothing:[/yellow] {escape(str(traced.trouble))}")
    if traced.hub is None:
        return
    expiry = f", expires {local_time(traced.hub.expires_at)}" if traced.hub.expires_at else ""
    show_table(
        f"By the hub: accepted {local_time(traced.hub.accepted_at)}{expiry}",
        ("recipient", "state", "since", "attempts", "last error"),
        (
            (each.recipient, each.state, each.updated_at, each.attempts, each.last_error)
            for each in traced.hub.deliveries[:most]
        ),
    )
    if most is not None and len(traced.hub.deliveries) > most:
        say(f"… and {len(traced.hub.deliveries) - most} deliveries more: --all tells each.")
