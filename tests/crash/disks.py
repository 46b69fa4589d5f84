"""A small disk for each program, which can be full for a while."""

from __future__ import annotations

import errno
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_MIB = 1024 * 1024
#: What databases, logs and copies under way take, besides the attachments.
_BESIDES = 512 * _MIB


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A tmpfs of `size` bytes at `folder`. Needs the right to mount: the suite runs in a mount namespace of its own."""

    folder: Path
    size: int

    @classmethod
    def for_volume(cls, folder: Path, volume: int) -> SmallDisk:
        """A disk that has room for attachments of `volume` bytes and what is made of them."""
        return cls(folder, 3 * volume + _BESIDES)

    def mount(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.size},mode=0700", "tmpfs", self.folder], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=True)

    def fill(self, left: int) -> None:
        """Leave `left` bytes free: the disk shrinks to what is used, which costs no memory as a file of filling would.

        The programs write meanwhile: should that be too small already, it is tried again.
        """
        for _ in range(20):
            facts = os.statvfs(self.folder)
            used = (facts.f_blocks - facts.f_bfree) * facts.f_frsize
            if self._resize(used + left):
                return
        raise OSError(f"{self.folder} cannot be filled")

    def is_full(self) -> bool:
        """Whether not even a page can be written."""
        probe = self.folder / ".probe"
        try:
            probe.write_bytes(bytes(4096))
        except OSError as error:
            return error.errno == errno.ENOSPC
        finally:
            probe.unlink(missing_ok=True)
        return False

    def free(self) -> None:
        if not self._resize(self.size):
            raise OSError(f"{self.folder} cannot be freed")

    def _resize(self, size: int) -> bool:
        command = ["mount", "-o", f"remount,size={size}", str(self.folder)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
