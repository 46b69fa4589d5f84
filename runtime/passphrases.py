"""Passphrases of private keys, from files: never from a command line, where every user of the machine can read them."""

from __future__ import annotations

import stat
from pathlib import Path

from runtime.files import storage_errors
from schemas.errors import Rejected


def read_passphrase(path: Path) -> bytes:
    """The passphrase in `path`, without its last line break.

    Raises `passphrase-permissions` if others can read it, `passphrase-empty`.
    """
    with storage_errors(path):
        mode = stat.S_IMODE(path.stat().st_mode)
        passphrase = path.read_bytes().removesuffix(b"\n").removesuffix(b"\r")
    if mode & 0o077:
        raise Rejected(
            "passphrase-permissions",
            f"{path}: others than its owner can read the passphrase (mode {mode:04o}).",
            mend=f"Run: chmod 600 {path}",
        )
    if not passphrase:
        raise Rejected("passphrase-empty", f"{path}: there is no passphrase in it.", mend="Write one into it.")
    return passphrase
