"""What commands show of an audit: what was examined and how fast, what does not hold, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape

from runtime.terminal import say
from schemas.auditing import AuditFinding, Examined


def finding_fields(finding: AuditFinding) -> dict[str, Any]:
    """A finding as JSON shows it."""
    return {
        "code": finding.code.value,
        "message": finding.message_id,
        "agency": finding.agency,
        "element": finding.element,
        "sentence": finding.sentence,
        "mend": finding.mend,
    }


def examined_fields(examined: Examined, seconds: float) -> dict[str, Any]:
    """What was examined, and messages a second, as JSON shows it."""
    return {
        **asdict(examined),
        "seconds": round(seconds, 3),
        "messages_per_second": round(examined.messages / max(seconds, 1e-9), 1),
    }


def show_examined(examined: Examined, seconds: float) -> None:
    rate = examined.messages / max(seconds, 1e-9)
    purged = f" ({examined.purged} without their payload by the retention rule)" if examined.purged else ""
    say(
        f"Examined {examined.messages} messages{purged}, {examined.receipts} receipts and {examined.attachments} "
        f"attachments in {seconds:.1f} s: {rate:.0f} messages a second."
    )


def show_findings(findings: Sequence[AuditFinding], count: int) -> None:
    """Each finding in a line with its mend below; nothing if there is none."""
    for finding in findings:
        where = f" [dim]{finding.message_id}[/dim]" if finding.message_id else ""
        say(f"[red]{finding.code}[/red]{where}\n  {escape(finding.sentence)}\n  {escape(finding.mend)}")
    if count > len(findings):
        say(f"… and {count - len(findings)} more of {count}.")
