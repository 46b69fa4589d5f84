"""`congvan node retry`: hand a parked message over once more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.options import Dir, Json, wake_daemon, with_node
from node.foundation import Foundation
from runtime.terminal import say, show_json
from schemas.codes import AgencyCode


def retry(
    message: Annotated[
        str, typer.Argument(metavar="MESSAGE", help="Its message id, 8 digits of it or more, or the DocumentId.")
    ],
    *,
    code: Annotated[
        AgencyCode | None,
        typer.Option("--for", parser=AgencyCode.parse, metavar="CODE", help="Only for this agency of the node."),
    ] = None,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Try a parked message once more, after what was in its way has been put right.

    Example: [bold]congvan node retry 3fa2b1c0[/bold]
    """

    async def drive(node: Foundation) -> None:
        driven = await node.parked.drive_again(message, code)
        is_running = wake_daemon(node)
        if as_json:
            show_json({"driven": driven, "daemon_running": is_running})
        elif not driven:
            say("Nothing of it is parked.")
        else:
            say(f"It is tried once more, for {driven} agencies." if driven > 1 else "It is tried once more.")

    with_node(folder, drive)
