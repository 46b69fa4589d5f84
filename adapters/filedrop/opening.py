"""Opening what others put there: regular files only, never through a link."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from schemas.errors import Rejected


def open_regular(path: Path, *, folder: int | None = None) -> BinaryIO:
    """The regular file at `path` (in the open `folder`, if one is given) to read from.

    A symbolic link could name the node's own keys, a pipe would never end: both raise `item-kind`, as does a
    folder. A file that the node may not read raises `item-permission`; FileNotFoundError is left as it is.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, dir_fd=folder)
    except PermissionError as error:
        raise Rejected(
            "item-permission", f"The node may not read {path.name}.", mend="Let the node's user read the file."
        ) from error
    except OSError as error:
        # ELOOP: it is a link. ENXIO: a socket, or a device without a driver.
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _no_file(path) from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _no_file(path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _no_file(path: Path) -> Rejected:
    return Rejected(
        "item-kind",
        f"{path.name} is no regular file but a link, a folder, a pipe or a device.",
        mend="Put the file itself there.",
    )
