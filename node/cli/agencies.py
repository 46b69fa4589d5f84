"""`congvan node agencies`: whom one can write to; and what a shell offers after `--to`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from node.cli.options import Dir, Json, with_node
from node.foundation import Foundation
from node.store import agency_search, selection
from node.store.metadata import Transaction
from runtime.terminal import say, show_json, show_table
from schemas.directory import AgencyEntry, GroupEntry
from schemas.envelope import Selector
from schemas.errors import CongvanError
from schemas.recipients import is_selector, parse_selector

#: What a shell can show at a time.
_OFFERED: Final = 30


def agencies(
    text: Annotated[
        str,
        typer.Argument(metavar="[TEXT]", help="The beginning of a code, words of a name, or a selector such as H23.*."),
    ] = "",
    *,
    groups: Annotated[bool, typer.Option("--groups", help="The groups that can be written to.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200_000, help="How many at most.")] = 50,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Find agencies in this node's copy of the directory; or whom a selector means today.

    Marks may be left out: 'so tu phap' finds every Sở Tư pháp.

    Examples: [bold]congvan node agencies 'so tu phap'[/bold], [bold]congvan node agencies 'H23.*' --limit 1000[/bold],
    [bold]congvan node agencies --groups[/bold]
    """
    if groups:
        _show_groups(with_node(folder, lambda node: node.database.read(selection.groups)), as_json)
        return
    if is_selector(text):
        found = with_node(folder, partial(_selected, selector=parse_selector(text)))
    else:
        found = with_node(folder, partial(_searched, text=text, limit=limit + 1))
    if as_json:
        show_json([{"code": entry.code.value, "name": entry.name, "status": entry.status} for entry in found[:limit]])
        return
    if not found:
        say("No agency.")
        return
    show_table("", ("code", "name", "status"), ((entry.code, entry.name, entry.status) for entry in found[:limit]))
    if len(found) > limit:
        more = f"{len(found) - limit} more" if is_selector(text) else "more"
        say(f"… and {more}: --limit shows them.")


async def _searched(node: Foundation, text: str, limit: int) -> list[AgencyEntry]:
    return await node.database.read(partial(agency_search.search, text=text, limit=limit))


async def _selected(node: Foundation, selector: Selector) -> list[AgencyEntry]:
    return await node.database.read(partial(selection.selected, selector=selector))


def _show_groups(found: list[GroupEntry], as_json: bool) -> None:
    if as_json:
        show_json([{"group": one.group, "title": one.title, "members": list(one.members)} for one in found])
    elif found:
        show_table("", ("group", "members", "title"), ((f"@{one.group}", len(one.members), one.title) for one in found))
    else:
        say("No group.")


def offered_recipients(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """What a shell offers for the beginning of a recipient: codes and groups with their names; nothing without a node.

    Of several recipients in one word, the last is the one to complete.
    """
    head, comma, last = incomplete.rpartition(",")
    folder = Path(context.params.get("folder") or ".")
    try:
        found = with_node(folder, lambda node: node.database.read(partial(_offered, beginning=last)))
    except (CongvanError, OSError):
        # A shell has no place for a reason.
        return []
    return [(f"{head}{comma}{text}", name) for text, name in found]


def _offered(transaction: Transaction, beginning: str) -> list[tuple[str, str]]:
    if beginning.startswith("@"):
        groups = (group for group in selection.groups(transaction) if group.group.startswith(beginning[1:]))
        return [(f"@{group.group}", group.title) for group in groups]
    found = agency_search.codes_beginning(transaction, beginning.upper(), limit=_OFFERED)
    return [(code.value, name) for code, name in found]
