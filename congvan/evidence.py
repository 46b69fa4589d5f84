"""`congvan evidence`: judging a file of evidence, by anybody, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from certs.evidence_report import EvidenceReport, Finding
from certs.evidence_verifying import NamedAuthority, verify_evidence
from certs.keys import read_certificates
from congvan.envelope_view import visible
from runtime.terminal import local_time, say, show_json, show_table
from schemas.envelope import is_sha256_hex

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Judge evidence that [bold]congvan hub evidence[/bold] or [bold]congvan node evidence[/bold] wrote.",
)


@app.callback()
def evidence() -> None:
    """Makes `verify` a subcommand, though it is the only one."""


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The evidence.")],
    *,
    authority: Annotated[
        str | None,
        typer.Option(
            metavar="PEM|SHA256",
            help="The hub's authority, from a source that you trust: its PEM file, or the SHA-256 of its root.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Verify evidence offline: seal, receipts, proofs, certificates at their time, directory, and each listed file.

    Exit status 1 if anything does not hold. Without --authority the parts are only held against each other, and the
    answer says so: anybody can make such a file.

    Example: [bold]congvan evidence verify 9f86d081.zip --authority hub-authority.pem[/bold]
    """
    report = verify_evidence(file, _named(authority))
    if as_json:
        show_json(_members(report))
    else:
        _show(report)
    if not report.holds:
        raise typer.Exit(1)


def _named(authority: str | None) -> NamedAuthority | None:
    if authority is None:
        return None
    fingerprint = authority.replace(":", "").lower()
    if is_sha256_hex(fingerprint):
        return NamedAuthority(fingerprint=fingerprint)
    return NamedAuthority(certificates=read_certificates(Path(authority)))


def _show(report: EvidenceReport) -> None:
    show_table(
        f"Evidence of {report.message_id}",
        ("event", "who", "when (Asia/Ho_Chi_Minh)", "verdict", "file"),
        ((one.what, _shown(one.who), one.at, _verdict(one), visible(one.file)) for one in _in_order(report)),
    )
    say(escape(f"Gathered by {visible(report.gathered_by)}, {local_time(report.gathered_at)}, by its own word."))
    if not report.has_envelope:
        dropped = f": dropped there on {local_time(report.dropped_at)}" if report.dropped_at else ""
        say(f"The envelope is not in it{dropped}.")
    if not report.directory_complete:
        say("The directory is an excerpt: it does not show that no version between was left out.")
    if not report.holds:
        count = sum(not finding.holds for finding in report.findings)
        say(f"[red]It does not hold[/red]: {count} of {len(report.findings)} parts.")
    elif report.is_anchored:
        say("[green]It holds[/green], under the authority that you named.")
    else:
        say("[yellow]Consistent, but anchored in nothing you named.[/yellow] It brings along the authority")
        for fingerprint in report.authorities[:1]:
            say(f"  {fingerprint}")
        say("Compare that with what the hub's operator publishes, or give --authority.")


def _in_order(report: EvidenceReport) -> list[Finding]:
    """What does not hold first, then by time."""
    return sorted(report.findings, key=lambda one: (one.holds, one.at is None, one.at.timestamp() if one.at else 0.0))


def _verdict(finding: Finding) -> str:
    if finding.fault is not None:
        return f"does not hold: {visible(finding.fault.message)} ({finding.fault.code})"
    return "holds" if finding.note is None else f"holds: {visible(finding.note)}"


def _shown(text: str | None) -> str | None:
    return None if text is None else visible(text)


def _members(report: EvidenceReport) -> dict[str, object]:
    return {
        "message_id": report.message_id,
        "holds": report.holds,
        "anchored": report.is_anchored,
        "authorities": report.authorities,
        "directory_complete": report.directory_complete,
        "gathered_by": report.gathered_by,
        "gathered_at": report.gathered_at,
        "envelope": report.has_envelope,
        "dropped_at": report.dropped_at,
        "findings": [
            {
                "file": one.file,
                "event": one.what,
                "who": one.who,
                "at": one.at,
                "holds": one.holds,
                "note": one.note,
                "code": one.fault.code if one.fault else None,
                "fault": one.fault.message if one.fault else None,
            }
            for one in _in_order(report)
        ],
    }
