"""`congvan hub backup` and `backup-check`."""

from __future__ import annotations

from pathlib import Path

from hub.cli.options import Dir, Json
from hub.settings import HubFolder
from hub.usecases.backup import NAMED, PROGRAM, backup_source
from runtime.backup_view import Backup, Base, Keys, Target, check, make_backup


def backup(target: Target, keys: Keys = False, base: Base = None, folder: Dir = Path(), as_json: Json = False) -> None:
    """Back up the hub as of one moment, whether it runs or not: a folder that can stand in its place.

    Example: [bold]congvan hub backup /backup/2026-11-22 --base /backup/2026-11-21 --dir /srv/hub[/bold]
    """
    make_backup(backup_source(HubFolder(folder)), target, with_keys=keys, base=base, as_json=as_json)


def backup_check(backup: Backup, as_json: Json = False) -> None:
    """Read a backup whole: is every file what was backed up, and is every attachment there? Exits with 1 if not.

    Example: [bold]congvan hub backup-check /backup/2026-11-22[/bold]
    """
    check(backup, PROGRAM, NAMED, as_json=as_json)
