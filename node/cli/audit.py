"""`congvan node audit`: is everything here that was sent and received, and is each word of it proven?"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli.options import Dir, Json, with_node
from node.foundation import Foundation
from node.usecases.audit import NodeAudit, audit_node
from runtime.audit_view import examined_fields, finding_fields, show_examined, show_findings
from runtime.terminal import Count, counting, say, show_json, show_table


def audit(
    deep: Annotated[bool, typer.Option("--deep", help="Read every attachment and compare its SHA-256.")] = False,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Compute anew how far everything has come, from envelopes and verified receipts, and name what is missing.

    No state column is believed: each seal, receipt and proof is verified as the directory stood in its day. Works
    beside a running node. Exits with 1 if anything is missing or wrong.

    Example: [bold]congvan node audit --deep --dir /srv/node[/bold]
    """
    began = time.monotonic()
    with counting("Auditing the node") as count:
        found = with_node(folder, lambda node: audit_of(node, deep=deep, count=count))
    seconds = time.monotonic() - began
    if as_json:
        show_json(audit_fields(found) | {"examined": examined_fields(found.examined, seconds)})
    else:
        show_table(
            "Deliveries as they are proven, by sender",
            ("sender", "accepted", "delivered", "refused", "expired", "cancelled", "pending"),
            ((row.code or "all", *list(asdict(row).values())[1:]) for row in found.balance),
        )
        show_examined(found.examined, seconds)
        say(f"{found.reports} reports wait for the hub.")
        show_findings(found.findings, found.findings_count)
        say("Everything is accounted for." if found.is_clean else "[red]Not everything is accounted for.[/red]")
    if not found.is_clean:
        raise typer.Exit(1)


async def audit_of(node: Foundation, *, deep: bool, count: Count | None = None) -> NodeAudit:
    """The audit of an open node, whose copy of the directory is loaded."""
    return await audit_node(
        node.database,
        node.blobs,
        node.identity.hub_authority,
        [*node.identity.enrolled_codes, *node.directory.served_codes],
        deep=deep,
        began=count.begin if count else _ignore,
        advanced=count.advance if count else _ignore,
    )


def audit_fields(found: NodeAudit) -> dict[str, Any]:
    """An audit as JSON shows it."""
    rows = [asdict(row) | {"code": row.code.value if row.code else None} for row in found.balance]
    return {
        "clean": found.is_clean,
        "proven": {"overall": rows[-1], "sent": rows[:-1]},
        "reports": found.reports,
        "findings": [finding_fields(finding) for finding in found.findings],
        "findings_count": found.findings_count,
    }


def _ignore(_number: int) -> None: ...
