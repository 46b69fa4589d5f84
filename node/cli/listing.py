"""`congvan node outbox`, `inbox`, `show` and `status`: where everything is, and what is stuck and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer
from rich.markup import escape

from node.cli.options import SHOWN, All, Dir, Json, wake_daemon, with_node
from node.cli.showing import (
    attachment_lines,
    companion_lines,
    facts,
    handovers_table,
    plain,
    receipts_table,
    recipients_table,
    row_fields,
    short,
    show_due,
    stand_counts,
    standing_words,
    state_words,
    transfer_words,
    trouble_text,
    verdict_lines,
    what,
)
from node.foundation import Foundation
from node.store.records import BalanceRow, DueRow, MessageStory, NodeStatus, OutboxRow
from node.store.states import DeadlineStage, HandoverState, OutboxState
from node.usecases.deadlines import stage_at
from node.usecases.health import require_clock
from runtime.terminal import local_time, say, show_json, show_table
from schemas.errors import Unavailable

#: Recipients that a line of the outbox names; of more it counts how many stand where.
_NAMED: Final = 5

Limit: TypeAlias = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many at most.")]
Waiting: TypeAlias = Annotated[bool, typer.Option("--waiting", help="Only what still waits.")]


def outbox(
    *,
    waiting: Waiting = False,
    refused: Annotated[bool, typer.Option("--refused", help="Only what was refused.")] = False,
    limit: Limit = 50,
    every: All = False,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """What this node sends, newest first. Of a circular --json tells the first 100 recipients, with --all each.

    Example: [bold]congvan node outbox --waiting[/bold]
    """
    most = None if every else SHOWN
    rows = with_node(folder, lambda node: node.queries.outbox(waiting=waiting, refused=refused, limit=limit, most=most))
    if as_json:
        show_json([row_fields(row) for row in rows])
        return
    if not rows:
        say("Nothing.")
        return
    show_table(
        "",
        ("message", "submitted", "to", "what", "state", "why"),
        (
            (
                short(row.message.message_id),
                row.created_at,
                _recipients(row),
                what(row.message),
                state_words(row),
                trouble_text(row.trouble),
            )
            for row in rows
        ),
    )


def _recipients(row: OutboxRow) -> str:
    count = sum(row.stands.values())
    if count > _NAMED:
        return f"{count}: {stand_counts(row.stands)}"
    return ", ".join(f"{one.code} {standing_words(one)}" for one in row.recipients)


def inbox(
    waiting: Waiting = False,
    due: Annotated[
        bool, typer.Option("--due", help="Only documents with a deadline that are not finished, by deadline.")
    ] = False,
    limit: Limit = 50,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """What this node received, newest first; or what is to be finished, the earliest deadline first.

    Examples: [bold]congvan node inbox --json[/bold], [bold]congvan node inbox --due[/bold]
    """
    if due:
        show_due(with_node(folder, lambda node: _due(node, limit)), as_json=as_json)
        return
    rows = with_node(folder, lambda node: node.queries.inbox(waiting=waiting, limit=limit))
    if as_json:
        show_json([row_fields(row) for row in rows])
        return
    if not rows:
        say("Nothing.")
        return
    show_table(
        "",
        ("message", "received", "from", "for", "what", "state", "why"),
        (
            (
                short(row.message.message_id),
                row.received_at,
                row.message.sender,
                handover.code,
                what(row.message),
                handover.state,
                trouble_text(handover.trouble),
            )
            for row in rows
            for handover in row.handovers
        ),
    )


async def _due(node: Foundation, limit: int) -> list[tuple[DueRow, DeadlineStage]]:
    near = timedelta(seconds=node.settings.exchange.deadlines.near)
    return [(row, stage_at(row.deadline.due_at, node.clock(), near)) for row in await node.queries.due(limit=limit)]


def show(
    message: Annotated[
        str, typer.Argument(metavar="MESSAGE", help="Its message id, 8 digits of it or more, or the DocumentId.")
    ],
    every: All = False,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """What a message is and how it stands: its recipients, attachments, receipts. `congvan node trace` tells its story.

    Of a circular the first 100 recipients and receipts are shown, and how many stand where; with --all each.

    Example: [bold]congvan node show 3fa2b1c0[/bold]
    """
    story = with_node(folder, lambda node: node.queries.story(message, most=None if every else SHOWN))
    if as_json:
        show_json(plain(story))
    else:
        _tell(story)


def _tell(story: MessageStory) -> None:
    facts(story.message)
    if story.outbox is not None:
        say(f"Outbox:   {state_words(story.outbox)}, submitted {local_time(story.outbox.created_at)}")
        if story.outbox.trouble:
            say(f"Why:      {escape(trouble_text(story.outbox.trouble) or '')}")
        recipients_table(story.outbox)
        companion_lines(story.outbox)
        if story.outbox.override:
            who = story.outbox.override
            say(f"Override: {escape(who.by)} answers for what guards would have refused: {escape(who.reason)}")
        verdict_lines("sent", story.outbox.verdicts, story.attachments)
    if story.inbox is not None:
        say(f"Sealed:   by {escape(story.inbox.signer)}, {local_time(story.inbox.signed_at)}")
        handovers_table(story.inbox.handovers)
        for handover in story.inbox.handovers:
            verdict_lines(f"for {handover.code}", handover.verdicts, story.attachments)
    if story.attachments:
        attachment_lines(story.attachments)
    if story.receipts:
        receipts_table(story.receipts, story.receipts_count)
    say(f"What happened to it: congvan node trace {short(story.message.message_id)}")


def status(folder: Dir = Path(), as_json: Json = False) -> None:
    """How this node does: its hub, its directory, what waits, whether the count balances.

    Example: [bold]congvan node status[/bold]
    """

    async def ask(node: Foundation) -> tuple[NodeStatus, tuple[BalanceRow, ...], bool, str | None]:
        found = await node.queries.status()
        tolerance = node.settings.exchange.receiver.clock_tolerance
        return found, await node.queries.balance(), wake_daemon(node), _clock_fault(found, tolerance)

    found, balance, is_running, clock_fault = with_node(folder, ask)
    if as_json:
        show_json(plain(found) | {"daemon_running": is_running, "balance": plain(balance)})
        return
    say(f"[bold]{escape(found.connection)}[/bold] serves {', '.join(map(str, found.served_codes)) or 'no agency'}")
    say(f"Daemon:    {'runs' if is_running else 'does not run'}")
    say(f"Hub:       {escape(found.hub)}, {_contact(found)}")
    if clock_fault:
        say(f"Clock:     [red]{escape(clock_fault)}[/red]")
    expiry = f", valid until {local_time(found.directory.expires_at)}" if found.directory.expires_at else ""
    say(f"Directory: version {found.directory.version} of {found.directory.latest}{expiry}")
    say(f"Outbox:    {_counts(found.outbox)}")
    say(f"Inbox:     {found.inbox} received; {_counts(found.handovers)}")
    say(f"Deadlines: {_counts(found.deadlines)}")
    say(f"Receipts:  {found.reports_waiting} wait to be reported")
    if found.resubmissions_waiting:
        say(f"Restored:  {found.resubmissions_waiting} messages are brought again to the hub, which was restored")
    if found.free_bytes is not None:
        say(f"Disk:      {found.free_bytes / 1e9:.1f} GB free")
    for transfer in found.transfers:
        of = f" of {short(transfer.message_id)}" if transfer.message_id else ""
        say(f"Moving:    an attachment{of}: {transfer_words(transfer)}")
    show_table(
        "Balance of what was sent",
        ("agency", "accepted", "delivered", "refused", "expired", "cancelled", "pending"),
        (
            (row.code or "all", row.accepted, row.delivered, row.refused, row.expired, row.cancelled, row.pending)
            for row in balance
        ),
    )


def _clock_fault(found: NodeStatus, tolerance: float) -> str | None:
    try:
        require_clock(found.contact, tolerance)
    except Unavailable as error:
        return f"{error.message} {error.mend}"
    return None


def _contact(found: NodeStatus) -> str:
    contact = found.contact
    if contact.unreachable_since is not None:
        return (
            f"unreachable since {local_time(contact.unreachable_since)}: {escape(trouble_text(contact.trouble) or '')}"
        )
    if contact.last_contact_at is None:
        return "not met yet"
    return f"last met {local_time(contact.last_contact_at)}"


def _counts(
    counts: Mapping[OutboxState, int] | Mapping[HandoverState, int] | Mapping[DeadlineStage, int],
) -> str:
    return ", ".join(f"{number} {state}" for state, number in counts.items() if number) or "nothing"
