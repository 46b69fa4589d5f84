"""`congvan node unit`: the units below this node's agencies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from adapters.sdk import DeclaredUnit, UnitStanding
from node.cli.options import Dir, Json, with_node
from runtime.terminal import say, show_json
from schemas.codes import AgencyCode

app = typer.Typer(no_args_is_help=True, help="Declare and retire units below this node's agencies, by the hub's rules.")

_Unit = Annotated[AgencyCode, typer.Argument(parser=AgencyCode.parse, metavar="CODE", help="The unit's code.")]


@app.command()
def declare(
    code: _Unit,
    *,
    name: Annotated[str, typer.Option(help="The unit's name.")],
    mail: Annotated[str, typer.Option(help="Whom the hub's operator can write to about it.")] = "",
    phone: Annotated[str, typer.Option(help="Whom the hub's operator can call about it.")] = "",
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Declare a unit that this node is to serve, or give it another name. The same again changes nothing.

    Example: [bold]congvan node unit declare H23.12 --name 'Sở Tư pháp'[/bold]
    """
    unit = DeclaredUnit(code=code, name=name, mail=mail, phone=phone)
    _show(code, with_node(folder, lambda node: node.units.declare(unit)), f"is declared: {name}", as_json)


@app.command()
def retire(code: _Unit, folder: Dir = Path(), as_json: Json = False) -> None:
    """Retire a unit, for good: its code is never given again.

    Example: [bold]congvan node unit retire H23.12[/bold]
    """
    _show(code, with_node(folder, lambda node: node.units.retire(code)), "is retired", as_json)


def _show(code: AgencyCode, standing: UnitStanding, done: str, as_json: bool) -> None:
    if as_json:
        show_json({"code": code.value, "state": standing})
    elif standing is UnitStanding.DONE:
        say(f"[green]{code}[/green] {escape(done)}.")
    else:
        say(f"{code} waits for the approval of the hub's operator; the same command shows how it stands.")
