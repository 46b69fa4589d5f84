"""`congvan hub connection`: the nodes that serve agencies."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from certs.keys import fingerprint
from hub.cli.options import Dir, Json, actor, change_hub, with_hub
from hub.cli.showing import show_change, show_history, show_rows, show_token, token_fields
from hub.foundation import Foundation
from hub.store.connections import ConnectionRow
from hub.store.pushing import PushRow
from hub.store.watching import WatchRow
from hub.usecases.connections import Change, ConnectionView, IssuedToken, ListedConnection
from runtime.terminal import local_time, say, show_json, show_table
from schemas.directory import EntryStatus

app = typer.Typer(no_args_is_help=True, help="The nodes that serve agencies: admit, look at, suspend and resume them.")

Id = Annotated[str, typer.Argument(metavar="CONNECTION", help="The connection's id.")]


@app.command()
def add(
    connection: Id,
    name: Annotated[str, typer.Option(help="Whose node it is.")],
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Add a connection that is to serve several agencies; its one-time token is shown: once.

    Example: [bold]congvan hub connection add hai-duong --name 'Trung tâm CNTT Hải Dương'[/bold], then
    [bold]congvan hub agency add H23.12 --name 'Sở Tư pháp' --served-by hai-duong[/bold]
    """

    async def order(hub: Foundation) -> tuple[IssuedToken, str]:
        return await hub.connections.add(connection, name, actor=actor()), hub.settings.hub.public_url

    token, url = change_hub(folder, order)
    if as_json:
        show_json({"connection": connection, "name": name, "enrolment": token_fields(token, url)})
        return
    say(f"[green]{escape(connection)}[/green] is in the directory.")
    show_token(token, url)


@app.command("list")
def list_connections(folder: Dir = Path(), as_json: Json = False) -> None:
    """List the connections, by id, with when each last fetched. With --json one object a line.

    Example: [bold]congvan hub connection list[/bold]
    """
    with_hub(folder, lambda hub: _list(hub, as_json))


async def _list(hub: Foundation, as_json: bool) -> None:
    async with aclosing(hub.connections.listing()) as rows:
        if as_json:
            async for listed in rows:
                show_json(_listed_fields(listed))
            return
        await show_rows(
            ("connection", "status", "last fetch", "silent since", "added", "name"),
            (_columns(listed) async for listed in rows),
            none="No connection.",
        )


@app.command()
def show(connection: Id, folder: Dir = Path(), as_json: Json = False) -> None:
    """Show one connection: what it serves, its certificates, and what was done to it.

    Example: [bold]congvan hub connection show H23[/bold]
    """
    view = with_hub(folder, lambda hub: hub.connections.view(connection))
    if as_json:
        show_json(_view_fields(view))
        return
    row = view.row
    codes = " ".join(code.value for code in view.codes[:20])
    show_table(
        f"{row.connection} {row.name}",
        ("", ""),
        (
            ("status", row.status),
            ("serves", f"{len(view.codes)}: {codes}{' …' if len(view.codes) > 20 else ''}" if codes else None),
            ("enrolled", view.enrolment.enrolled_at),
            ("last fetch", view.watch.fetched_at),
            ("silent since", view.watch.silent_since),
            *(_push_rows(view.push) if view.push else ()),
            ("token can be used until", view.enrolment.token_expires_at),
            *(
                ("seal certificate", f"{fingerprint(seal)} until {seal.not_valid_after_utc:%Y-%m-%d}")
                for seal in view.seals
            ),
        ),
    )
    show_history(view.history)


@app.command()
def suspend(connection: Id, folder: Dir = Path(), as_json: Json = False) -> None:
    """Suspend a connection: its node is refused, and nothing is sent to what it serves.

    Example: [bold]congvan hub connection suspend H23[/bold]
    """
    _set_status(connection, EntryStatus.SUSPENDED, folder, as_json)


@app.command()
def resume(connection: Id, folder: Dir = Path(), as_json: Json = False) -> None:
    """Let a suspended connection in again.

    Example: [bold]congvan hub connection resume H23[/bold]
    """
    _set_status(connection, EntryStatus.ACTIVE, folder, as_json)


@app.command()
def push(
    connection: Id,
    url: Annotated[
        str | None, typer.Argument(metavar="URL", help="Where its node listens: https://name:port.", show_default=False)
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Push no more: the node fetches.")] = False,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    r"""Push to a node that can be reached, instead of waiting for it to fetch. It goes on fetching now and then.

    The node must listen first: \[node.push] in its settings.

    Example: [bold]congvan hub connection push H23 https://node.haiduong.gov.vn:8444[/bold]
    """
    if (url is None) is not off:
        raise typer.BadParameter("Give the node's URL, or --off.")
    change_hub(folder, lambda hub: hub.connections.set_push(connection, url, actor=actor()))
    if as_json:
        show_json({"connection": connection, "url": url})
    elif url is None:
        say(f"Nothing is pushed to {escape(connection)}.")
    else:
        say(f"What waits for {escape(connection)} is pushed to {escape(url)}.")


@app.command()
def token(
    connection: Id,
    withdraw_seals: Annotated[
        bool,
        typer.Option(
            "--withdraw-seals",
            help="When it is used, the earlier seal certificates cease to count: for a key in wrong hands.",
        ),
    ] = False,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """A new one-time token, to enrol the node again; earlier unused ones are void. It is shown once.

    Example: [bold]congvan hub connection token H23[/bold]
    """

    async def order(hub: Foundation) -> tuple[IssuedToken, str]:
        issued = await hub.connections.new_token(connection, withdraw_seals=withdraw_seals, actor=actor())
        return issued, hub.settings.hub.public_url

    issued, url = change_hub(folder, order)
    if as_json:
        show_json(token_fields(issued, url))
    else:
        show_token(issued, url)


def _set_status(connection: str, status: EntryStatus, folder: Path, as_json: bool) -> None:
    async def order(hub: Foundation) -> Change:
        return await hub.connections.set_status(connection, status, actor=actor())

    show_change(change_hub(folder, order), as_json)


def _fields(row: ConnectionRow) -> dict[str, Any]:
    return {"connection": row.connection, "name": row.name, "status": row.status, "created_at": row.created_at}


def _columns(listed: ListedConnection) -> Sequence[object]:
    row, watch = listed.row, listed.watch
    return row.connection, row.status, watch.fetched_at, watch.silent_since, row.created_at, row.name


def _listed_fields(listed: ListedConnection) -> dict[str, Any]:
    return _fields(listed.row) | _watch_fields(listed.watch)


def _watch_fields(watch: WatchRow) -> dict[str, Any]:
    return {"fetched_at": watch.fetched_at, "silent_since": watch.silent_since}


def _push_rows(row: PushRow) -> Sequence[tuple[str, object]]:
    breaker = row.breaker
    return (
        ("pushed to", row.url),
        ("push", f"{breaker.state} since {local_time(breaker.changed_at)}"),
        ("last push error", breaker.last_error),
    )


def _push_fields(row: PushRow) -> dict[str, Any]:
    breaker = row.breaker
    return {
        "url": row.url,
        "breaker": breaker.state,
        "since": breaker.changed_at,
        "failures": breaker.failures,
        "probe_at": breaker.probe_at,
        "last_error": breaker.last_error,
    }


def _view_fields(view: ConnectionView) -> dict[str, Any]:
    return {
        **_fields(view.row),
        **_watch_fields(view.watch),
        "codes": [code.value for code in view.codes],
        "push": _push_fields(view.push) if view.push else None,
        "enrolled_at": view.enrolment.enrolled_at,
        "token_expires_at": view.enrolment.token_expires_at,
        "seal_certificates": [
            {"fingerprint": fingerprint(seal), "not_after": seal.not_valid_after_utc} for seal in view.seals
        ],
        "history": [
            {"at": entry.at, "actor": entry.actor, "action": entry.action, **entry.detail} for entry in view.history
        ],
    }
