"""`congvan hub audit`: is everything here that was accepted, and is each word of it proven?"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from hub.cli.options import Dir, Json, with_hub
from hub.foundation import Foundation
from hub.usecases.audit import HubAudit, audit_hub
from hub.usecases.balance import Balance
from runtime.audit_view import examined_fields, finding_fields, show_examined, show_findings
from runtime.terminal import Count, counting, say, show_json, show_table

_COLUMNS: Final = ("accepted", "delivered", "refused", "expired", "cancelled", "pending")


def audit(
    deep: Annotated[bool, typer.Option("--deep", help="Read every attachment and compare its SHA-256.")] = False,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Compute the balance anew from stored envelopes and verified receipts, and name everything that is missing.

    No state column and no counter is believed: each seal, receipt and proof is verified as the directory stood in its
    day. Works beside a running hub. Exits with 1 if anything is missing or wrong.

    Example: [bold]congvan hub audit --deep --dir /srv/hub[/bold]
    """
    began = time.monotonic()
    with counting("Auditing the hub") as count:
        found = with_hub(folder, lambda hub: audit_of(hub, deep=deep, count=count))
    seconds = time.monotonic() - began
    if as_json:
        show_json(audit_fields(found) | {"examined": examined_fields(found.examined, seconds)})
    else:
        rows = [("all", found.balance.overall), *found.balance.sent.items()]
        show_table(
            "Deliveries as they are proven, by sender",
            ("sender", *_COLUMNS),
            ((code, *asdict(tally).values()) for code, tally in rows),
        )
        show_examined(found.examined, seconds)
        show_findings(found.findings, found.findings_count)
        say("Everything is accounted for." if found.is_clean else "[red]Not everything is accounted for.[/red]")
    if not found.is_clean:
        raise typer.Exit(1)


async def audit_of(hub: Foundation, *, deep: bool, count: Count | None = None) -> HubAudit:
    """The audit of an open hub."""
    return await audit_hub(
        hub.database,
        hub.blobs,
        (hub.keys.authority.root,),
        deep=deep,
        began=count.begin if count else _ignore,
        advanced=count.advance if count else _ignore,
    )


def audit_fields(found: HubAudit) -> dict[str, Any]:
    """An audit as JSON shows it."""
    return {
        "clean": found.is_clean,
        "balances": found.balance.balances,
        "proven": _balance_fields(found.balance),
        "columns": _balance_fields(found.columns),
        "findings": [finding_fields(finding) for finding in found.findings],
        "findings_count": found.findings_count,
    }


def _balance_fields(balance: Balance) -> dict[str, Any]:
    return {
        "overall": asdict(balance.overall),
        "sent": {code: asdict(tally) for code, tally in balance.sent.items()},
        "received": {code: asdict(tally) for code, tally in balance.received.items()},
    }


def _ignore(_number: int) -> None: ...
