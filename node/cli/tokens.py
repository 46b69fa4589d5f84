"""`congvan node token`: what lets an agency's own software use the REST API of this node."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from adapters.rest.settings import RestSettings
from adapters.rest.tokens import Grant, Scope, Tokens
from node.adapter_tables import Assignment
from node.cli.options import Dir, Json
from node.settings import NodeFolder
from runtime.clock import utc_now
from runtime.settings import settings_of
from runtime.terminal import local_time, say, show_json, show_table
from schemas.codes import AgencyCode
from schemas.durations import parse_duration
from schemas.errors import Rejected

app = typer.Typer(no_args_is_help=True, help="Tokens with which the agency's software uses this node's REST API.")

_A_YEAR = timedelta(days=365)
_Adapter = Annotated[
    str | None,
    typer.Option("--adapter", metavar="NAME", help="The adapter's table; needed only where several are rest."),
]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What you call it: the software that is to have it.")],
    *,
    scope: Annotated[list[Scope], typer.Option(help="What it gives; once for each.")],
    agency: Annotated[
        list[AgencyCode] | None,
        typer.Option(
            parser=AgencyCode.parse,
            metavar="CODE",
            help="The agency, and all below it, that it speaks for; once for each. Absent: all of this node.",
        ),
    ] = None,
    valid: Annotated[
        timedelta | None,
        typer.Option(parser=parse_duration, metavar="LENGTH", help="How long it holds: 12h, 90d.", show_default="365d"),
    ] = None,
    adapter: _Adapter = None,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Make a token and print it, this once: only its digest is kept. A running node knows it at once.

    Example: [bold]congvan node token add dms --scope submit --scope receive --scope status --agency H23[/bold]
    """
    expires_at = utc_now() + (valid or _A_YEAR)
    made = _tokens(folder, adapter).add(name, scopes=scope, agencies=agency or (), expires_at=expires_at)
    if as_json:
        show_json({**_shown(made.grant), "token": made.text})
        return
    say(f"[green]{escape(name)}[/green] holds until {local_time(made.grant.expires_at)}. It is shown this once:")
    say(escape(made.text))


@app.command("list")
def list_tokens(adapter: _Adapter = None, folder: Dir = Path(), as_json: Json = False) -> None:
    """List the tokens, expired ones too. None of them can be shown again.

    Example: [bold]congvan node token list[/bold]
    """
    grants = _tokens(folder, adapter).grants()
    if as_json:
        show_json([_shown(grant) for grant in grants])
        return
    rows = [
        (
            grant.name,
            ", ".join(sorted(grant.scopes)),
            ", ".join(map(str, grant.agencies)) or "all",
            grant.created_at,
            "expired" if grant.expires_at <= utc_now() else grant.expires_at,
        )
        for grant in grants
    ]
    show_table("Tokens of the REST API", ("Name", "Scopes", "Agencies", "Made", "Until"), rows)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Its name, or its id.")],
    adapter: _Adapter = None,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """End a token at once, in a running node too.

    Example: [bold]congvan node token revoke dms[/bold]
    """
    revoked = _tokens(folder, adapter).revoke(name)
    if as_json:
        show_json(_shown(revoked))
    else:
        say(f"[green]{escape(revoked.name)}[/green] is revoked.")


def _tokens(folder: Path, adapter: str | None) -> Tokens:
    """The tokens of the node's REST adapter, or of the one so called."""
    node = NodeFolder(folder)
    adapters = node.read_settings().adapters
    tables = {name: table for name, table in adapters.items() if table.get("adapter", name) == "rest"}
    if adapter is None and len(tables) == 1:
        [adapter] = tables
    if adapter is None or adapter not in tables:
        raise Rejected(
            "adapter-unknown",
            f"The node has the REST adapters {', '.join(tables)}: which one is meant?"
            if tables
            else "The node's settings have no REST adapter.",
            element="adapters",
            mend="Give --adapter NAME." if tables else "Write a table [adapters.rest] into congvan.toml.",
        )
    table = {key: value for key, value in tables[adapter].items() if key not in Assignment.model_fields}
    settings = settings_of(RestSettings, table, source=f"[adapters.{adapter}]")
    return Tokens(settings.tokens(node.adapter(adapter)), utc_now)


def _shown(grant: Grant) -> dict[str, object]:
    return {
        "id": grant.token_id,
        "name": grant.name,
        "scopes": sorted(grant.scopes),
        "agencies": [code.value for code in grant.agencies],
        "created_at": grant.created_at,
        "expires_at": grant.expires_at,
    }
