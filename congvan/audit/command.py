"""The command: which databases, what is shown, and the exit status."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509
from rich.markup import escape

from certs.keys import read_certificates
from congvan.audit.opening import opened
from congvan.audit.report import Audit, audit
from congvan.audit.servers import Servers
from hub.cli.audit import audit_fields as hub_fields
from node.cli.audit import audit_fields as node_fields
from runtime.audit_view import finding_fields, show_findings
from runtime.database_options import DatabaseCaFile, DatabaseTls
from runtime.logs import LogFormat, configure_logs
from runtime.terminal import say, show_json, show_table

app = typer.Typer()

#: What is on its way is shown to people up to this number.
_SHOWN = 50


@app.command()
def audit_all(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH|URL…",
            help="Folders of a hub and of nodes, or their databases: a file, or postgresql://user@host:5432/name.",
        ),
    ],
    *,
    authority: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The hub's authority (PEM, its authority/root.pem) under which all is judged. Else what a folder "
            "holds; for a URL, what a folder given beside it holds.",
        ),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(help="A file (0600) with the password for the URLs. Else the file that PGPASSFILE names."),
    ] = None,
    tls: DatabaseTls = "auto",
    ca_file: DatabaseCaFile = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read every attachment and compare its SHA-256.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Audit a hub and nodes, and check them against each other: nothing lost between them, nothing twice.

    Lists what is on its way, since when. Databases that messages went by and that were not given are named as not
    checked, and so are attachments that a URL does not lead to: files beside the database. Works beside running
    programs. Exits with 1 if anything is unaccounted for.

    Example: [bold]congvan audit /srv/hub /srv/node-h23 postgresql://auditor@db.example.gov.vn/node_g22[/bold]
    """
    configure_logs(LogFormat.TEXT, "warning")
    began = time.monotonic()
    trusted = read_certificates(authority) if authority else ()
    found = asyncio.run(_run(places, trusted, Servers(password_file, tls, ca_file), deep=deep))
    if as_json:
        show_json(_fields(found, time.monotonic() - began))
    else:
        _show(found, time.monotonic() - began)
    if not found.is_clean:
        raise typer.Exit(1)


async def _run(places: list[str], trusted: tuple[x509.Certificate, ...], servers: Servers, *, deep: bool) -> Audit:
    async with opened(places, authority=trusted, servers=servers) as sources:
        return await audit(sources, deep=deep)


def _fields(found: Audit, seconds: float) -> dict[str, Any]:
    return {
        "clean": found.is_clean,
        "hub": {"name": found.hub[0], **hub_fields(found.hub[1])} if found.hub else None,
        "nodes": {name: node_fields(side) for name, side in found.nodes.items()},
        "compared": found.compared,
        "findings": [finding_fields(finding) for finding in found.findings],
        "findings_count": found.findings_count,
        "in_flight": [
            {
                "stage": flying.stage.name.lower().replace("_", "-"),
                "message": flying.message_id,
                "agency": flying.agency,
                "since": flying.since,
            }
            for flying in found.on_its_way
        ],
        "in_flight_count": {
            stage.name.lower().replace("_", "-"): number for stage, number in found.on_its_way_count.items()
        },
        "not_checked": found.not_checked,
        "attachments_not_checked": found.unreached,
        "seconds": round(seconds, 3),
    }


def _show(found: Audit, seconds: float) -> None:
    for name, side in found.sides.items():
        say(f"[bold]{escape(name)}[/bold]")
        show_findings(side.findings, side.findings_count)
        if side.is_clean:
            say(f"  {side.examined.messages} messages, {side.examined.receipts} receipts: all accounted for.")
    say(f"Compared {found.compared} messages in {seconds:.1f} s.")
    show_findings(found.findings, found.findings_count)
    if found.on_its_way:
        total = sum(found.on_its_way_count.values())
        show_table(
            f"On its way: {total}",
            ("message", "for", "where", "since"),
            ((each.message_id[:12], each.agency, each.stage, each.since) for each in found.on_its_way[:_SHOWN]),
        )
    for missing in found.not_checked:
        say(f"[yellow]Not checked:[/yellow] {escape(missing)}, which was not given.")
    for name, number in found.unreached.items():
        say(f"[yellow]Not checked:[/yellow] {number} attachments of {escape(name)}: files, and only a URL was given.")
    say("Everything is accounted for." if found.is_clean else "[red]Not everything is accounted for.[/red]")
