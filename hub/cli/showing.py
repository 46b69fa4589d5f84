"""How the operator's commands show what several of them have to show."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from rich.markup import escape

from hub.store.audit_log import AuditEntry
from hub.usecases.connections import Change, IssuedToken
from runtime.terminal import local_time, say, show_json, show_lines, show_table
from schemas.directory import EntryStatus

#: Rows of a long listing that are laid out as one table: columns line up inside it, and memory stays small.
_ROWS: Final = 1000

_SENTENCES: Final = {
    EntryStatus.ACTIVE: "takes part",
    EntryStatus.SUSPENDED: "is suspended",
    EntryStatus.RETIRED: "is retired",
}


async def show_rows(columns: Sequence[str], rows: AsyncIterator[Sequence[object]], *, none: str) -> None:
    """A table of any length, shown as it is read; `none` is said if there are no rows.

    A long one goes out as bare lines, a part after the other: a drawn table costs half a millisecond a row.
    """
    part: list[Sequence[object]] = []
    is_long = False
    async for row in rows:
        part.append(row)
        if len(part) == _ROWS:
            show_lines(columns, part)
            part, is_long = [], True
    if is_long and part:
        show_lines(columns, part)
    elif part:
        show_table("", columns, part)
    elif not is_long:
        say(none)


def show_token(token: IssuedToken, url: str) -> None:
    """The token with what to do with it. Nobody sees it again: the hub keeps its digest alone."""
    say(
        f"One-time token for the node of {escape(token.connection)}, shown this once, "
        f"good until {local_time(token.expires_at)}:"
    )
    say(f"\n  {token.text}\n")
    say("Hand it over where nobody else reads it. At the agency:")
    say(f"  congvan node init DIR --hub {url} --token TOKEN")


def token_fields(token: IssuedToken, url: str) -> dict[str, Any]:
    return {"connection": token.connection, "token": token.text, "expires_at": token.expires_at, "hub": url}


def show_change(change: Change, as_json: bool) -> None:
    if as_json:
        show_json({"subject": change.subject, "status": change.status, "directory_version": change.version})
    elif change.version is None:
        say(f"{escape(change.subject)} {_SENTENCES[change.status]} already; nothing was changed.")
    else:
        say(f"{escape(change.subject)} {_SENTENCES[change.status]} (directory version {change.version}).")


def show_history(history: Sequence[AuditEntry]) -> None:
    show_table("Latest changes", ("when", "who", "what"), ((entry.at, entry.actor, entry.action) for entry in history))
