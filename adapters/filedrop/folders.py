"""The four folders of a drop, and who may reach what stands in them."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from runtime.files import PRIVATE, PRIVATE_FOLDER, make_private_folder, storage_errors
from schemas.errors import Rejected

#: What is staged in in/ bears this prefix: a name with a dot first is no concern of whoever reads the folder.
STAGED_PREFIX = ".tmp-"

#: What file systems without modes of their own answer to chmod, on what is ours: CIFS, FAT, FUSE.
_NO_MODES: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})

GROUP_FILE = 0o640
#: The group may take away what it has read; the set-group-id bit keeps the group on what is made below.
GROUP_FOLDER = 0o2770


@dataclass(frozen=True, slots=True)
class DropFolders:
    """`outgoing` is out/, `incoming` in/. The modes are those of what the adapter makes in them."""

    outgoing: Path
    incoming: Path
    sent: Path
    failed: Path
    file_mode: int
    folder_mode: int

    @classmethod
    def prepare(cls, root: Path, *, group_access: bool) -> Self:
        """Make what is missing of the folders below `root`; one that stands keeps its mode.

        Raises `drop-folders-apart` if out/, sent/ and failed/ are on different file systems: what was sent is put away
        by a rename, which does not cross them.
        """
        folders = cls(
            outgoing=root / "out",
            incoming=root / "in",
            sent=root / "sent",
            failed=root / "failed",
            file_mode=GROUP_FILE if group_access else PRIVATE,
            folder_mode=GROUP_FOLDER if group_access else PRIVATE_FOLDER,
        )
        make_private_folder(root)
        for folder in (folders.outgoing, folders.incoming, folders.sent, folders.failed):
            folders.make(folder)
        with storage_errors(root):
            if len({folder.stat().st_dev for folder in (folders.outgoing, folders.sent, folders.failed)}) > 1:
                raise Rejected(
                    "drop-folders-apart",
                    f"{root}: out, sent and failed lie on different file systems.",
                    mend="Put them on one.",
                )
        return folders

    def make(self, folder: Path) -> None:
        """Make `folder` unless it stands, with the mode that this drop gives to folders."""
        with storage_errors(folder):
            try:
                folder.mkdir(mode=PRIVATE_FOLDER)
            except FileExistsError:
                return
            # A mode given to mkdir is cut by the process's umask.
            with no_modes_on_some_shares():
                folder.chmod(self.folder_mode)

    def create(self, path: Path) -> int:
        """A descriptor of the new file `path`, with the mode that this drop gives to files; the caller closes it."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
        with no_modes_on_some_shares():
            os.fchmod(descriptor, self.file_mode)
        return descriptor


@contextlib.contextmanager
def no_modes_on_some_shares() -> Iterator[None]:
    """Go on where a file system gives no modes: on many mounts the server, or the mount itself, says who may what."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_MODES:
            raise
