"""Files that must survive a power cut: written whole or not at all, synced before anyone relies on them."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from schemas.errors import CongvanError, Rejected, Unavailable

PRIVATE = 0o600
PRIVATE_FOLDER = 0o700

#: What the system says when a folder can take no more: disk full, quota used up, file size limit.
FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

#: What a file system answers that has no sync of folders.
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable: without it a renamed file can be gone after a power cut.

    Some network file systems know no sync of a folder; there the server decides what is durable.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def write_file(path: Path, content: bytes, *, mode: int = PRIVATE) -> None:
    """Put `content` at `path` by one rename, durable when this returns, with `mode` from the first byte on."""
    with writing(path, mode=mode) as file:
        file.write(content)


@contextlib.contextmanager
def writing(path: Path, *, mode: int = PRIVATE) -> Iterator[BinaryIO]:
    """A file to write, which stands at `path`, whole and durable, once the block ends without an error."""
    with storage_errors(path):
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def require_new_file(path: Path) -> None:
    """Pass if nothing stands at `path`. Raises Rejected: `path-is-folder`, `file-exists`."""
    with storage_errors(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if path.exists() or path.is_symlink():
        raise Rejected(
            "file-exists", f"{path} is there already.", mend="Give another name, or write over it with --force."
        )


def others_reach(status: os.stat_result) -> bool:
    """Whether others than its owner can reach a file that is to be private.

    What root gives to an ordinary user's group to read is taken: so come systemd's credentials (whose access list shows
    as the group's bit) and the secrets of Kubernetes (fsGroup).
    """
    given = 0o040 if status.st_uid == 0 and os.geteuid() != 0 else 0
    return bool(status.st_mode & 0o077 & ~given)


def make_private_folder(folder: Path) -> None:
    """Create `folder` (and what is missing above it) for its owner alone; a folder that stands keeps its mode."""
    with storage_errors(folder):
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors on `path` into ours: a full disk is `storage-full`, which passes by itself."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: Path) -> CongvanError:
    """The error of ours that says what `error` means for `path`, and what to do."""
    if error.errno in FULL_ERRNOS:
        return Unavailable(
            "storage-full", f"{path}: no space is left.", mend="Free space or enlarge the disk; work goes on by itself."
        )
    if isinstance(error, PermissionError):
        return Rejected(
            "storage-permission",
            f"{path}: permission denied.",
            mend="Run as the owner of the folder, or correct its owner.",
        )
    if isinstance(error, IsADirectoryError):
        return Rejected("path-is-folder", f"{path} is a folder.", mend="Give the path of a file.")
    if isinstance(error, FileNotFoundError):
        return Rejected("file-missing", f"{path}: there is no such file or folder.", mend="Check the path.")
    return Unavailable(
        "storage-failed", f"{path}: {error.strerror or error}.", mend="Check the disk and the system's log."
    )
