"""Passphrases and secrets, from files: never from a command line, where every user of the machine can read them."""

from __future__ import annotations

import stat
from pathlib import Path

from runtime.files import storage_errors
from schemas.errors import Rejected

#: The bits of a file's mode that let others in.
_OTHERS = 0o077


def read_passphrase(path: Path) -> bytes:
    """The passphrase of private keys in `path`, without its last line break.

    Raises `passphrase-permissions` if others can read it, `passphrase-empty`.
    """
    mode, passphrase = _mode_and_line(path)
    if mode & _OTHERS:
        raise Rejected(
            "passphrase-permissions",
            f"{path}: others than its owner can read the passphrase (mode {mode:04o}).",
            mend=f"Run: chmod 600 {path}",
        )
    if not passphrase:
        raise Rejected("passphrase-empty", f"{path}: there is no passphrase in it.", mend="Write one into it.")
    return passphrase


def read_secret(path: Path, *, least: int) -> bytes:
    """A secret that signs, in `path`, without its last line break.

    Raises `secret-permissions` if others can read it, `secret-short` if it has less than `least` bytes.
    """
    mode, secret = _mode_and_line(path)
    if mode & _OTHERS:
        raise Rejected(
            "secret-permissions",
            f"{path}: others than its owner can read the secret (mode {mode:04o}).",
            mend=f"Run: chmod 600 {path}",
        )
    if len(secret) < least:
        raise Rejected(
            "secret-short",
            f"{path}: a secret has {least} bytes or more.",
            mend=f"Run: (umask 077; openssl rand -hex 32 > {path})",
        )
    return secret


def _mode_and_line(path: Path) -> tuple[int, bytes]:
    with storage_errors(path):
        return stat.S_IMODE(path.stat().st_mode), path.read_bytes().removesuffix(b"\n").removesuffix(b"\r")
