"""`congvan hub backup` and `backup-check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.cli.options import Dir, Json
from hub.settings import HubFolder
from hub.usecases.backup import NAMED, PROGRAM, backup_source
from runtime.backup import back_up
from runtime.backup_check import check_backup
from runtime.backup_view import show_backup, show_check
from runtime.clock import utc_now
from runtime.terminal import counting


def backup(
    target: Annotated[Path, typer.Argument(metavar="BACKUP", help="A new or empty folder.")],
    keys: Annotated[bool, typer.Option("--keys", help="Take the private keys in as well.")] = False,
    base: Annotated[
        Path | None, typer.Option(help="An earlier backup on the same disk, whose attachments are linked, not copied.")
    ] = None,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Back up the hub as of one moment, whether it runs or not: a folder that can stand in its place.

    Example: [bold]congvan hub backup /backup/2026-11-22 --base /backup/2026-11-21 --dir /srv/hub[/bold]
    """
    source = backup_source(HubFolder(folder))
    with counting("Backing up the hub") as count:
        story = back_up(source, target, with_keys=keys, base=base, now=utc_now(), count=count)
    show_backup(story, target, as_json=as_json)


def backup_check(
    backup: Annotated[Path, typer.Argument(metavar="BACKUP", help="The folder of a backup.")],
    as_json: Json = False,
) -> None:
    """Read a backup whole: is every file what was backed up, and is every attachment there? Exits with 1 if not.

    Example: [bold]congvan hub backup-check /backup/2026-11-22[/bold]
    """
    with counting("Checking the backup") as count:
        checked = check_backup(backup, PROGRAM, NAMED, count=count)
    show_check(checked, backup, as_json=as_json)
