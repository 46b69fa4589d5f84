"""`congvan hub agency requests|approve|refuse`: units that connections want to declare or retire."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from hub.cli.options import Code, Dir, Json, actor, change_hub, with_hub
from hub.cli.showing import show_rows
from hub.foundation import Foundation
from hub.store.units import UnitRequest
from hub.usecases.unit_requests import Granted
from runtime.terminal import say, show_json
from schemas.codes import AgencyCode


def requests(
    *,
    refused: Annotated[bool, typer.Option("--refused", help="Those that were refused as well.")] = False,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """List the units that connections want to declare or retire, and that wait for your word. With --json one a line.

    Example: [bold]congvan hub agency requests[/bold]
    """
    with_hub(folder, lambda hub: _list(hub.unit_requests.listing(refused=refused), as_json))


async def _list(listing: AsyncGenerator[UnitRequest, None], as_json: bool) -> None:
    async with aclosing(listing) as found:
        if as_json:
            async for request in found:
                show_json(_fields(request))
            return
        await show_rows(
            ("code", "wish", "connection", "name", "asked", "mail", "phone", "refused"),
            (
                (one.code, one.wish, one.connection, one.name, one.asked_at, one.mail, one.phone, one.reason)
                async for one in found
            ),
            none="Nothing waits.",
        )


def approve(
    codes: Annotated[list[AgencyCode], typer.Argument(parser=AgencyCode.parse, metavar="CODE...", help="The units.")],
    *,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Grant what connections ask for these units: one after the other, each a version of the directory.

    Example: [bold]congvan hub agency approve H23.12 H23.13[/bold]
    """
    for code in codes:
        granted = change_hub(folder, _granting(code))
        if as_json:
            show_json({**_fields(granted.request), "directory_version": granted.version})
        elif granted.version is None:
            say(f"{code} stood so already; nothing was changed.")
        else:
            done = "is in the directory" if granted.request.name else "is retired"
            say(f"[green]{code} {escape(granted.request.name)}[/green] {done} (version {granted.version}).")


def refuse(
    code: Code,
    *,
    reason: Annotated[str, typer.Option(help="One sentence, which the connection is told.")],
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Refuse what a connection asks for a unit. Asking for the same again is answered with the reason.

    Example: [bold]congvan hub agency refuse H23.12 --reason 'Chưa có quyết định thành lập'[/bold]
    """

    async def order(hub: Foundation) -> UnitRequest:
        return await hub.unit_requests.refuse(code, reason, actor=actor())

    refused = change_hub(folder, order)
    if as_json:
        show_json({**_fields(refused), "reason": reason})
    else:
        say(f"{code}: refused; {escape(refused.connection)} is told why when it asks again.")


def _granting(code: AgencyCode) -> Any:
    async def order(hub: Foundation) -> Granted:
        return await hub.unit_requests.approve(code, actor=actor())

    return order


def _fields(request: UnitRequest) -> dict[str, Any]:
    return {
        "code": request.code.value,
        "wish": request.wish,
        "connection": request.connection,
        "name": request.name,
        "mail": request.mail,
        "phone": request.phone,
        "asked_at": request.asked_at,
        "refused_at": request.refused_at,
        "reason": request.reason,
    }
