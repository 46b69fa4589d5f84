"""`congvan hub deliveries`, `redeliver` and `cancel`: what is stuck, and the operator's hand on it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from rich.markup import escape

from hub.cli.options import Dir, Json, actor, change_hub, with_hub
from hub.foundation import Foundation
from hub.store.delivery_listing import ListedDelivery
from hub.usecases.cancellation import Cancelled
from hub.usecases.delivery_listing import AskedState, Found, Search, search_deliveries
from hub.usecases.redelivery import Redelivered
from runtime.terminal import local_time, say, show_json, show_table
from schemas.codes import AgencyCode
from schemas.durations import parse_duration
from schemas.errors import Rejected

_Message: TypeAlias = Annotated[
    str, typer.Argument(metavar="MESSAGE", help="A message id, 8 digits or more of its beginning, or a DocumentId.")
]
_Agency: TypeAlias = Annotated[
    AgencyCode | None,
    typer.Option("--agency", parser=AgencyCode.parse, metavar="CODE", help="This recipient alone; else all of them."),
]


def deliveries(
    *,
    to: Annotated[
        AgencyCode | None, typer.Option("--to", parser=AgencyCode.parse, metavar="CODE", help="To this recipient.")
    ] = None,
    sender: Annotated[
        AgencyCode | None, typer.Option("--from", parser=AgencyCode.parse, metavar="CODE", help="From this sender.")
    ] = None,
    state: Annotated[
        AskedState | None, typer.Option(help="In this state; dead: refused, expired or cancelled.")
    ] = None,
    older_than: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="Standing so for longer than this: 90m, 2h, 3d.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """What is not delivered, and why: queued, leased and dead letters, those that stand so longest first.

    With --state delivered: what was delivered of the newest 100,000 messages. With --json one object a line.

    Examples:

    [bold]congvan hub deliveries --to H23 --state queued --older-than 2h[/bold]

    [bold]congvan hub deliveries --state dead --json[/bold]
    """
    search = Search(state=state, sender=sender, recipient=to, older_than=_length(older_than), limit=limit)

    async def question(hub: Foundation) -> Found:
        return await search_deliveries(hub.database, search, hub.clock)

    found = with_hub(folder, question)
    if as_json:
        for each in found.deliveries:
            show_json(_fields(each))
        return
    if found.deliveries:
        show_table(
            "Deliveries",
            ("message", "from", "to", "state", "since", "attempts", "leased until", "expires", "last error"),
            (
                (
                    each.message_id[:12],
                    each.sender,
                    each.recipient,
                    each.state,
                    each.since,
                    each.attempts,
                    each.leased_until,
                    each.expires_at,
                    each.last_error,
                )
                for each in found.deliveries
            ),
        )
    else:
        say("No such delivery.")
    if found.has_more:
        say(f"There are more: --limit shows more than these {limit}.")
    if found.fans_out:
        say("The fan-out of some message is under way: its last deliveries are not in the list yet.")


def redeliver(
    message: _Message,
    *,
    agency: _Agency = None,
    again: Annotated[
        bool, typer.Option("--again", help="Offer delivered ones once more, too: for a node that lost what it had.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why; it stands in the audit log.")] = None,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Queue what ended refused, expired or cancelled anew, with a fresh time to live.

    Example: [bold]congvan hub redeliver 9f86d081884c --agency H23 --reason 'the node was mended'[/bold]
    """

    async def order(hub: Foundation) -> Redelivered:
        return await hub.redelivery.redeliver(message, agency, again=again, reason=reason, actor=actor())

    done = change_hub(folder, order)
    if as_json:
        show_json(asdict(done))
        return
    for codes, sentence in ((done.queued, "queued anew for"), (done.offered_again, "offered once more to")):
        if codes:
            say(f"[green]{done.message_id[:12]} is {sentence} {_codes(codes)}[/green].")
    say(f"It expires on {local_time(done.expires_at)}.")


def cancel(
    message: _Message,
    *,
    reason: Annotated[str, typer.Option(help="Why; the sender is told, and it stands in the audit log.")],
    agency: _Agency = None,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Cancel what is still queued; the sender gets a receipt with the reason. What a node holds already may yet arrive.

    Example: [bold]congvan hub cancel 9f86d081884c --agency H23 --reason 'sent to the wrong agency'[/bold]
    """

    async def order(hub: Foundation) -> Cancelled:
        return await hub.cancellation.cancel(message, agency, reason=reason, actor=actor())

    done = change_hub(folder, order)
    if as_json:
        show_json(asdict(done))
        return
    if done.recipients:
        say(f"[green]{done.message_id[:12]} is cancelled for {_codes(done.recipients)}[/green]; its sender is told.")
    if done.escaped:
        say(f"In the same moment it came to its end for {_codes(done.escaped)}.")


def _length(text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise Rejected(
            "option-malformed", f"{error}.", element="--older-than", mend="As in: --older-than 2h."
        ) from error


def _codes(codes: tuple[str, ...], most: int = 20) -> str:
    more = f" and {len(codes) - most} more" if len(codes) > most else ""
    return escape(", ".join(codes[:most])) + more


def _fields(each: ListedDelivery) -> dict[str, Any]:
    return asdict(each)
