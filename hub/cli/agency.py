"""`congvan hub agency`: who takes part."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from hub.cli.agency_import import import_agencies
from hub.cli.agency_requests import approve, refuse, requests
from hub.cli.options import Code, Dir, Json, actor, change_hub, with_hub
from hub.cli.showing import show_change, show_history, show_rows, show_token, token_fields
from hub.foundation import Foundation
from hub.usecases.agencies import AddedAgency, AgencyView, Moved, NewAgency
from hub.usecases.connections import Change
from runtime.terminal import say, show_json, show_table
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, EntryStatus

app = typer.Typer(no_args_is_help=True, help="Admit agencies, look at them, suspend and resume them.")
app.command("import")(import_agencies)
app.command("requests")(requests)
app.command("approve")(approve)
app.command("refuse")(refuse)


@app.command()
def add(
    code: Annotated[AgencyCode, typer.Argument(parser=AgencyCode.parse, metavar="CODE", help="Its code of today.")],
    *,
    name: Annotated[str, typer.Option(help="The agency's name.")],
    older_code: Annotated[
        list[AgencyCode] | None,
        typer.Option(parser=AgencyCode.parse, metavar="CODE", help="An older code of it; can be given several times."),
    ] = None,
    served_by: Annotated[
        str | None, typer.Option(metavar="CONNECTION", help="A connection that serves it; else it gets one of its own.")
    ] = None,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Add an agency. Unless another connection serves it, the one-time token for its node is shown: once.

    Example: [bold]congvan hub agency add H23 --name 'UBND tỉnh Hải Dương' --older-code 000.00.00.H23[/bold]
    """
    new = NewAgency(code, name, tuple(older_code or ()), served_by)

    async def order(hub: Foundation) -> tuple[AddedAgency, str]:
        return await hub.agencies.add(new, actor=actor()), hub.settings.hub.public_url

    added, url = change_hub(folder, order)
    if as_json:
        token = token_fields(added.token, url) if added.token else None
        show_json({**_fields(added.entry), "directory_version": added.version, "enrolment": token})
        return
    say(f"[green]{code} {escape(name)}[/green] is in the directory (version {added.version}).")
    if added.token:
        show_token(added.token, url)
    else:
        say(f"The connection {added.entry.connection} serves it.")


@app.command("list")
def list_agencies(
    prefix: Annotated[str, typer.Option(metavar="CODE", help="Only this code and those below it.")] = "",
    search: Annotated[
        str, typer.Option(metavar="WORDS", help="Only those whose names hold all these words; marks may be left out.")
    ] = "",
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """List the agencies, by code. With --json one object a line.

    Examples: [bold]congvan hub agency list --prefix H23[/bold],
    [bold]congvan hub agency list --search 'so tu phap'[/bold]
    """
    with_hub(folder, lambda hub: _list(hub, prefix, search, as_json))


async def _list(hub: Foundation, prefix: str, search: str, as_json: bool) -> None:
    async with aclosing(hub.agencies.listing(prefix, search)) as entries:
        if as_json:
            async for entry in entries:
                show_json(_fields(entry))
            return
        await show_rows(
            ("code", "status", "connection", "name", "older codes"),
            ((entry.code, entry.status, entry.connection, entry.name, _older(entry)) async for entry in entries),
            none=f"No agency at or below {prefix}." if prefix and not search else "No agency.",
        )


@app.command()
def show(code: Code, folder: Dir = Path(), as_json: Json = False) -> None:
    """Show one agency: its codes, its connection, and what was done to it.

    Example: [bold]congvan hub agency show 000.00.00.H23[/bold]
    """
    view = with_hub(folder, lambda hub: hub.agencies.view(code))
    if as_json:
        show_json(_view_fields(view))
        return
    entry = view.entry
    show_table(
        f"{entry.code} {entry.name}",
        ("", ""),
        (
            ("status", entry.status),
            ("older codes", _older(entry) or None),
            ("connection", f"{view.connection.connection} ({view.connection.status})"),
            ("enrolled", view.enrolment.enrolled_at),
            ("token can be used until", view.enrolment.token_expires_at),
        ),
    )
    show_history(view.history)


@app.command()
def suspend(code: Code, folder: Dir = Path(), as_json: Json = False) -> None:
    """Suspend an agency: it can neither send nor be sent to, until it is resumed.

    Example: [bold]congvan hub agency suspend H23.12[/bold]
    """
    _set_status(code, EntryStatus.SUSPENDED, folder, as_json)


@app.command()
def resume(code: Code, folder: Dir = Path(), as_json: Json = False) -> None:
    """Let a suspended agency take part again.

    Example: [bold]congvan hub agency resume H23.12[/bold]
    """
    _set_status(code, EntryStatus.ACTIVE, folder, as_json)


@app.command()
def retire(code: Code, folder: Dir = Path(), as_json: Json = False) -> None:
    """Retire an agency for good. Its code is never given again, for its documents stay under it.

    Example: [bold]congvan hub agency retire H23.12[/bold]
    """
    _set_status(code, EntryStatus.RETIRED, folder, as_json)


@app.command()
def move(
    code: Code,
    *,
    to: Annotated[str, typer.Option("--to", metavar="CONNECTION", help="The connection that serves it from now on.")],
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Let another connection serve an agency. What waits for it goes along.

    What its former node still has in its outbox under this agency is refused from now on: let that run dry first.

    Example: [bold]congvan hub agency move H23.12 --to H23[/bold]
    """

    async def order(hub: Foundation) -> Moved:
        return await hub.agencies.move(code, to, actor=actor())

    moved = change_hub(folder, order)
    if as_json:
        show_json(
            {
                "subject": moved.subject,
                "before": moved.before,
                "connection": moved.connection,
                "directory_version": moved.version,
                "deliveries": moved.deliveries,
            }
        )
        return
    said = "was served by it already" if moved.version is None else f"(directory version {moved.version})"
    say(
        f"[green]{escape(moved.connection)} serves {moved.subject}[/green] {said}; "
        f"{moved.deliveries} deliveries went along."
    )


def _set_status(code: AgencyCode, status: EntryStatus, folder: Path, as_json: bool) -> None:
    async def order(hub: Foundation) -> Change:
        return await hub.agencies.set_status(code, status, actor=actor())

    show_change(change_hub(folder, order), as_json)


def _older(entry: AgencyEntry) -> str:
    return " ".join(code.value for code in entry.older_codes)


def _fields(entry: AgencyEntry) -> dict[str, Any]:
    return {
        "code": entry.code.value,
        "name": entry.name,
        "older_codes": [code.value for code in entry.older_codes],
        "connection": entry.connection,
        "status": entry.status,
    }


def _view_fields(view: AgencyView) -> dict[str, Any]:
    return {
        **_fields(view.entry),
        "connection_status": view.connection.status,
        "enrolled_at": view.enrolment.enrolled_at,
        "token_expires_at": view.enrolment.token_expires_at,
        "history": [
            {"at": entry.at, "actor": entry.actor, "action": entry.action, **entry.detail} for entry in view.history
        ],
    }
