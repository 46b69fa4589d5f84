"""`congvan hub agency import`: a whole directory from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from hub.cli.options import Dir, Json, actor, change_hub, with_hub
from hub.foundation import Foundation
from hub.usecases.agency_file import FileRow, RowFault, read_agency_file
from hub.usecases.agency_import import Imported
from runtime.files import storage_errors
from runtime.terminal import counting, say, show_json, show_table
from schemas.errors import Rejected

#: Faults that are shown as a table; --json gives all.
_SHOWN: Final = 50


def import_agencies(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV with the columns code, name, older_codes, connection.")
    ],
    *,
    check: Annotated[bool, typer.Option("--check", help="Say what would be done, and do nothing.")] = False,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Admit and amend many agencies at once: all of them in one version of the directory, or none.

    Rows with older codes separate them by blanks. An agency without a connection gets one of its own; `congvan hub
    connection token` then gives the token for its node. Given again, the same file changes nothing. Each row at fault
    is named with its line, and nothing is imported.

    Example: [bold]congvan hub agency import agencies.csv --check[/bold]
    """
    rows = _read(file)

    async def order(hub: Foundation) -> Imported:
        with counting("Judging the rows") as count:
            count.begin(len(rows))
            if check:
                return Imported(await hub.agency_import.check(rows, advance=count.advance), None)
            return await hub.agency_import.carry_out(rows, actor=actor(), advance=count.advance)

    done = with_hub(folder, order) if check else change_hub(folder, order)
    if as_json:
        show_json(_fields(done, check))
    else:
        _show(done, check)
    if done.plan.faults:
        raise typer.Exit(1)


def _read(file: Path) -> list[FileRow | RowFault]:
    with storage_errors(file):
        try:
            with file.open(encoding="utf-8-sig", newline="") as lines:
                return list(read_agency_file(lines))
        except UnicodeDecodeError as error:
            raise Rejected(
                "csv-encoding",
                f"{file} is not UTF-8 (byte {error.start}).",
                mend="Save it as CSV UTF-8 in the spreadsheet.",
            ) from error


def _show(done: Imported, check: bool) -> None:
    plan = done.plan
    if plan.faults:
        _show_faults(plan.faults)
        say(f"[red]{len(plan.faults)} rows are at fault; nothing was imported.[/red]")
        return
    counts = (
        f"{len(plan.added)} agencies to admit, {len(plan.changed)} to change, {plan.unchanged} as they are to be, "
        f"{len(plan.connections)} connections of their own"
    )
    if check:
        say(f"The file is good: {counts}. Nothing was changed.")
    elif done.version is None:
        say(f"All {plan.unchanged} agencies stood so already; nothing was changed.")
    else:
        say(
            f"[green]{len(plan.added)} agencies admitted, {len(plan.changed)} changed[/green], {plan.unchanged} as "
            f"they were, {len(plan.connections)} connections of their own (directory version {done.version})."
        )


def _show_faults(faults: Sequence[RowFault]) -> None:
    show_table(
        "",
        ("line", "code", "rule", "why", "mend"),
        ((fault.line, fault.subject or None, fault.rule, fault.message, fault.mend) for fault in faults[:_SHOWN]),
    )
    if len(faults) > _SHOWN:
        say(escape(f"… and {len(faults) - _SHOWN} more; --json gives all."))


def _fields(done: Imported, check: bool) -> dict[str, Any]:
    plan = done.plan
    return {
        "checked_only": check,
        "added": len(plan.added),
        "changed": len(plan.changed),
        "unchanged": plan.unchanged,
        "connections": [entry.connection for entry in plan.connections],
        "faults": [
            {
                "line": fault.line,
                "code": fault.subject,
                "rule": fault.rule,
                "message": fault.message,
                "mend": fault.mend,
            }
            for fault in plan.faults
        ],
        "directory_version": done.version,
    }
