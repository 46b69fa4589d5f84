"""`congvan node backup` and `backup-check`."""

from __future__ import annotations

from pathlib import Path

from node.cli.options import Dir, Json
from node.settings import NodeFolder
from node.usecases.backup import NAMED, PROGRAM, backup_source
from runtime.backup_view import Backup, Base, Keys, Target, check, make_backup


def backup(target: Target, keys: Keys = False, base: Base = None, folder: Dir = Path(), as_json: Json = False) -> None:
    """Back up the node as of one moment, whether it runs or not: a folder that can stand in its place.

    Example: [bold]congvan node backup /backup/2026-11-22 --base /backup/2026-11-21 --dir /srv/node[/bold]
    """
    make_backup(backup_source(NodeFolder(folder)), target, with_keys=keys, base=base, as_json=as_json)


def backup_check(backup: Backup, as_json: Json = False) -> None:
    """Read a backup whole: is every file what was backed up, and is every attachment there? Exits with 1 if not.

    Example: [bold]congvan node backup-check /backup/2026-11-22[/bold]
    """
    check(backup, PROGRAM, NAMED, as_json=as_json)
