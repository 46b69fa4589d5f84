"""Passphrases and secrets, from files: never from a command line, where every user of the machine can read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from runtime.files import others_reach, storage_errors
from schemas.errors import Rejected


def read_passphrase(path: Path) -> bytes:
    """The passphrase of private keys in `path`, without its last line break.

    Raises `passphrase-permissions` if others can read it, `passphrase-empty`.
    """
    status, passphrase = _status_and_line(path)
    if others_reach(status):
        raise Rejected(
            "passphrase-permissions",
            f"{path}: others than its owner can read the passphrase (mode {stat.S_IMODE(status.st_mode):04o}).",
            mend=f"Run: chmod 600 {path}",
        )
    if not passphrase:
        raise Rejected("passphrase-empty", f"{path}: there is no passphrase in it.", mend="Write one into it.")
    return passphrase


def read_secret(path: Path, *, least: int) -> bytes:
    """A secret that signs, in `path`, without its last line break.

    Raises `secret-permissions` if others can read it, `secret-short` if it has less than `least` bytes.
    """
    status, secret = _status_and_line(path)
    if others_reach(status):
        raise Rejected(
            "secret-permissions",
            f"{path}: others than its owner can read the secret (mode {stat.S_IMODE(status.st_mode):04o}).",
            mend=f"Run: chmod 600 {path}",
        )
    if len(secret) < least:
        raise Rejected(
            "secret-short",
            f"{path}: a secret has {least} bytes or more.",
            mend=f"Run: (umask 077; openssl rand -hex 32 > {path})",
        )
    return secret


def read_password(path: Path) -> str:
    """The password for a server, in `path`, without its last line break.

    Raises `password-permissions` if others can read it, `password-empty`, `password-characters` if it is not UTF-8.
    """
    status, password = _status_and_line(path)
    if others_reach(status):
        raise Rejected(
            "password-permissions",
            f"{path}: others than its owner can read the password (mode {stat.S_IMODE(status.st_mode):04o}).",
            mend=f"Run: chmod 600 {path}",
        )
    if not password:
        raise Rejected("password-empty", f"{path}: there is no password in it.", mend="Write one into it.")
    try:
        return password.decode()
    except UnicodeDecodeError as error:
        raise Rejected(
            "password-characters", f"{path}: the password is not UTF-8.", mend="Save it as UTF-8."
        ) from error


def _status_and_line(path: Path) -> tuple[os.stat_result, bytes]:
    with storage_errors(path):
        return path.stat(), path.read_bytes().removesuffix(b"\n").removesuffix(b"\r")
