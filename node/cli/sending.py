"""`congvan node send`: files, and what the options or a metadata file say of them, become one message."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from node.cli.agencies import offered_recipients
from node.cli.options import (
    Dir,
    FromCode,
    Json,
    OverrideBy,
    OverrideReason,
    override_of,
    wake_daemon,
    with_node,
)
from node.cli.orders import Order, Sent, code_of, files_and_recipients, submit_order
from node.cli.showing import plain, recipients_table
from node.cli.waiting import all_received, wait_for_receipts
from node.foundation import Foundation
from node.store.records import OutboxRow
from runtime.terminal import say, show_json


def send(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="The documents; or one classic edXML file (.edxml), sent as it says."),
    ],
    *,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="CODE",
            autocompletion=offered_recipients,
            help="A recipient; several: --to H23 --to H31, or --to H23,H31. 'H23.*' is H23 and every agency below it, "
            "@name a group.",
        ),
    ] = None,
    sender: FromCode = None,
    meta: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Metadata in TOML or JSON; the options stand above it.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="What it is about (trích yếu).")] = None,
    content: Annotated[str | None, typer.Option(help="Its content in short; the subject, if not given.")] = None,
    number: Annotated[
        str | None, typer.Option(help="Its number, 6101; or number and notation, 6101/VPCP-KSTT.")
    ] = None,
    notation: Annotated[str | None, typer.Option(help="Its notation (ký hiệu), VPCP-KSTT.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Its type in words: Công văn, Quyết định, …")] = None,
    place: Annotated[str | None, typer.Option(help="Where it was issued; the agency's name, if not given.")] = None,
    date: Annotated[str | None, typer.Option(help="The day it was issued, 2026-11-20; today, if not given.")] = None,
    signer: Annotated[str | None, typer.Option(help="Who signed it; the agency's name, if not given.")] = None,
    position: Annotated[str | None, typer.Option(help="The position of who signed it.")] = None,
    priority: Annotated[str | None, typer.Option(help="thường, khẩn, thượng khẩn, hỏa tốc; or 0 to 4.")] = None,
    due: Annotated[str | None, typer.Option(help="The deadline for processing it, 2026-12-01.")] = None,
    expires: Annotated[
        str | None,
        typer.Option(help="Deliver it no more after this: 2h, 3d, or an instant such as 2026-12-01T17:00:00+07:00."),
    ] = None,
    secrecy: Annotated[
        str | None, typer.Option(help="Its secrecy level: mat, toi-mat or tuyet-mat. Such a document is refused.")
    ] = None,
    override: OverrideReason = None,
    override_by: OverrideBy = None,
    key: Annotated[
        str | None, typer.Option(help="Your own key for this message: the same key sends it once, however often given.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until every recipient has it, or has refused it.")] = False,
    wait_seconds: Annotated[float, typer.Option(min=1, help="The longest time for --wait.")] = 300.0,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Send documents. The node has them, sealed and for good, when this returns; the daemon sends them on.

    Examples:

    [bold]congvan node send report.pdf --to H23 --to H31 --number 6101/VPCP-KSTT --subject 'V/v báo cáo'[/bold]

    [bold]congvan node send circular.pdf --to 'H23.*' --to @so-tu-phap --number 12/TT --subject 'Thông tư'[/bold]

    [bold]congvan node send report.pdf --meta meta.toml --key 2026-6101[/bold]
    """
    paths, recipients = files_and_recipients(files, to or ())
    options = {
        "subject": subject,
        "content": content,
        "code": code_of(number, notation),
        "document_type": kind,
        "place": place,
        "date": date,
        "signer": {"full_name": signer} | ({"position": position} if position else {}) if signer else None,
        "priority": priority,
        "due_date": due,
        "expires_at": expires,
        "secrecy": secrecy,
    }
    order = Order(
        files=paths,
        recipients=recipients,
        sender=sender,
        metadata_file=meta,
        options={name: value for name, value in options.items() if value is not None},
        key=key,
        override=override_of(override, override_by),
    )
    with_node(folder, lambda node: _send(node, order, timedelta(seconds=wait_seconds) if wait else None, as_json))


async def _send(node: Foundation, order: Order, wait: timedelta | None, as_json: bool) -> None:
    sent = await submit_order(node, order)
    is_running = wake_daemon(node)
    row = None
    if wait is not None:
        if not as_json:
            say(f"Message {sent.submitted.message_id} is in the outbox; waiting for its receipts.")
        row = await wait_for_receipts(node, sent.submitted.message_id, wait, is_running=is_running)
    if as_json:
        show_json(_fields(sent, is_running, row))
    else:
        _show(sent, is_running, row)
    if row is not None and not all_received(row):
        raise typer.Exit(1)


def _fields(sent: Sent, is_running: bool, row: OutboxRow | None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "message_id": sent.submitted.message_id,
        "key": sent.key,
        "repeated": sent.submitted.repeated,
        "from": sent.message.sender.organ_id,
        "to": sent.recipients,
        "daemon_running": is_running,
        "warnings": [str(warning) for warning in sent.warnings],
    }
    return fields if row is None else fields | {"state": row.state, "recipients": plain(row.recipients)}


def _show(sent: Sent, is_running: bool, row: OutboxRow | None) -> None:
    for warning in sent.warnings:
        say(f"[yellow]Note:[/yellow] {escape(str(warning))}")
    known = "was in the outbox already" if sent.submitted.repeated else "is in the outbox"
    say(f"[green]Message {sent.submitted.message_id} {known}.[/green] Its key: {escape(sent.key)}")
    if row is not None:
        recipients_table(row)
    elif is_running:
        say("The node sends it now.")
    else:
        say("No daemon is running here: `congvan node serve` sends it.")
    say(f"Where it is: congvan node show {sent.submitted.message_id[:12]}")
