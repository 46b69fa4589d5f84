"""`congvan node respond`: tell a document's sender what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.options import Dir, FromCode, Json, wake_daemon, with_node
from node.foundation import Foundation
from runtime.terminal import say, show_json
from schemas.errors import Rejected
from schemas.message import StaffInfo, StatusCode


def status_code(text: str) -> StatusCode:
    """A status by its number (`03`, `3`) or its English name (`accepted`); raises `status-unknown`."""
    by_name = {code.name.lower().replace("_", "-"): code for code in StatusCode}
    wanted = text.strip().lower().replace("_", "-")
    if wanted in by_name:
        return by_name[wanted]
    try:
        return StatusCode(wanted.zfill(2))
    except ValueError as error:
        known = ", ".join(f"{code} {name}" for name, code in by_name.items())
        raise Rejected("status-unknown", f"{text!r} is no status.", mend=f"Give one of: {known}.") from error


def respond(
    message: Annotated[
        str,
        typer.Argument(metavar="MESSAGE", help="The document: its message id, 8 digits of it or more, or DocumentId."),
    ],
    *,
    status: Annotated[
        StatusCode,
        typer.Option(parser=status_code, metavar="STATUS", help="02 refused, 03 accepted, 04 assigned, 06 finished, …"),
    ],
    note: Annotated[str | None, typer.Option(help="A word to the sender.")] = None,
    staff: Annotated[str | None, typer.Option(help="Who deals with it.")] = None,
    department: Annotated[str | None, typer.Option(help="The department that deals with it.")] = None,
    email: Annotated[str | None, typer.Option(help="Their e-mail address.")] = None,
    mobile: Annotated[str | None, typer.Option(help="Their telephone number.")] = None,
    sender: FromCode = None,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Send a status about a document that came, or take back (13) one that was sent.

    Example: [bold]congvan node respond 3fa2b1c0 --status 03 --note 'Đã vào sổ văn bản đến'[/bold]
    """
    given = (department, staff, email, mobile)
    about_staff = StaffInfo(department=department, staff=staff, email=email, mobile=mobile) if any(given) else None

    async def answer(node: Foundation) -> None:
        submitted = await node.responder.respond(message, status, description=note, staff=about_staff, from_code=sender)
        is_running = wake_daemon(node)
        if as_json:
            show_json(
                {
                    "message_id": submitted.message_id,
                    "status": status,
                    "repeated": submitted.repeated,
                    "tries": submitted.tries,
                    "daemon_running": is_running,
                }
            )
            return
        known = "was in the outbox already" if submitted.repeated else "is in the outbox"
        if submitted.tries > 1:
            say(f"The same answer was refused before: this is try {submitted.tries}.")
        say(f"[green]Status {status} {known}[/green] as the message {submitted.message_id}.")
        if not is_running:
            say("No daemon is running here: `congvan node serve` sends it.")

    with_node(folder, answer)
