"""`congvan hub group`: agencies that are written to together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from rich.markup import escape

from hub.cli.options import Dir, Json, actor, change_hub, with_hub
from hub.foundation import Foundation
from hub.usecases.groups import ChangedGroup
from runtime.files import storage_errors
from runtime.terminal import say, show_json, show_table
from schemas.codes import AgencyCode
from schemas.directory import GroupEntry
from schemas.envelope import Selector
from schemas.recipients import parse_recipient

app = typer.Typer(no_args_is_help=True, help="Groups of agencies, to which a document goes as --to @name.")

Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The group's name, such as so-tu-phap.")]
Members: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="MEMBER", help="Codes, or H23.* for H23 and every agency below it.")
]
FromFile: TypeAlias = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="More members, one a line; lines with # are passed over.")
]


@app.command()
def add(
    name: Name,
    members: Members = None,
    *,
    title: Annotated[str, typer.Option(help="What people call it.")],
    file: FromFile = None,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Make a group. The signed directory tells every node of it.

    Example: [bold]congvan hub group add so-tu-phap H23.12 H31.7 --title 'Các Sở Tư pháp'[/bold]
    """
    written = [*_parsed(members or ()), *_in_file(file)]

    async def order(hub: Foundation) -> ChangedGroup:
        return await hub.groups.add(name, title, written, actor=actor())

    _show_change(change_hub(folder, order), as_json)


@app.command()
def change(
    name: Name,
    *,
    add: Annotated[list[str] | None, typer.Option(metavar="MEMBER", help="A member more; several times.")] = None,
    remove: Annotated[list[str] | None, typer.Option(metavar="MEMBER", help="A member less; several times.")] = None,
    file: FromFile = None,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Add members to a group, and remove some. What was sent to it before stays as it was.

    Example: [bold]congvan hub group change so-tu-phap --add H14.9 --remove H31.7[/bold]
    """
    added = [*_parsed(add or ()), *_in_file(file)]
    removed = _parsed(remove or ())

    async def order(hub: Foundation) -> ChangedGroup:
        return await hub.groups.change(name, add=added, remove=removed, actor=actor())

    _show_change(change_hub(folder, order), as_json)


@app.command()
def remove(name: Name, folder: Dir = Path(), as_json: Json = False) -> None:
    """Withdraw a group: nobody can write to it any more.

    Example: [bold]congvan hub group remove so-tu-phap[/bold]
    """

    async def order(hub: Foundation) -> ChangedGroup:
        return await hub.groups.remove(name, actor=actor())

    _show_change(change_hub(folder, order), as_json)


@app.command("list")
def list_groups(folder: Dir = Path(), as_json: Json = False) -> None:
    """List the groups, by name. With --json one object a line.

    Example: [bold]congvan hub group list[/bold]
    """
    found = with_hub(folder, lambda hub: hub.groups.listing())
    if as_json:
        for group in found:
            show_json(_fields(group))
    elif found:
        show_table("", ("group", "members", "title"), ((f"@{one.group}", len(one.members), one.title) for one in found))
    else:
        say("No group.")


@app.command()
def show(name: Name, folder: Dir = Path(), as_json: Json = False) -> None:
    """Show a group's members, as they are written.

    Example: [bold]congvan hub group show so-tu-phap[/bold]
    """
    group = with_hub(folder, lambda hub: hub.groups.view(name))
    if as_json:
        show_json(_fields(group))
        return
    say(f"[bold]@{group.group}[/bold] {escape(group.title)}: {len(group.members)} members")
    for member in group.members:
        say(member)


def _parsed(texts: Sequence[str]) -> list[AgencyCode | Selector]:
    return [parse_recipient(text) for text in texts]


def _in_file(path: Path | None) -> list[AgencyCode | Selector]:
    if path is None:
        return []
    with storage_errors(path):
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    return _parsed([line for line in lines if line and not line.startswith("#")])


def _show_change(changed: ChangedGroup, as_json: bool) -> None:
    if as_json:
        show_json({**_fields(changed.group), "directory_version": changed.version})
    elif changed.version is None:
        say(f"@{changed.group.group} stood so already; nothing was changed.")
    elif changed.group.members:
        say(
            f"[green]@{changed.group.group}[/green] has {len(changed.group.members)} members "
            f"(directory version {changed.version})."
        )
    else:
        say(f"@{changed.group.group} is withdrawn (directory version {changed.version}).")


def _fields(group: GroupEntry) -> dict[str, Any]:
    return {"group": group.group, "title": group.title, "members": list(group.members)}
