"""A private place for what is read on its way to the node.

A file that others may write can be changed, or exchanged for a link to another one, at any moment. So the node is given
copies, made from an open file: what was judged, counted and digested is then what is sent.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from runtime.files import make_private_folder, storage_errors
from schemas.envelope import Sha256Hex
from schemas.errors import LimitExceeded

CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy in the spool: the SHA-256 of its bytes, and their number."""

    path: Path
    digest: Sha256Hex
    size: int


class Spool:
    """The folder for one item; gone when it is left."""

    def __init__(self, root: Path) -> None:
        make_private_folder(root)
        with storage_errors(root):
            self._folder = Path(tempfile.mkdtemp(dir=root))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        # A thread whose item was cancelled may still write here; what it leaves is swept at the next start.
        shutil.rmtree(self._folder, ignore_errors=True)

    def new_file(self) -> BinaryIO:
        """A new file of the spool, open for writing; its path is its `name`."""
        path = self._folder / secrets.token_hex(16)
        with storage_errors(self._folder):
            return path.open("xb")

    def copy(self, source: BinaryIO, *, limit: int) -> Copy:
        """Copy what is left to read of `source`; raises `attachment-too-large` past `limit` bytes."""
        digest = hashlib.sha256()
        size = 0
        with self.new_file() as target:
            while chunk := source.read(CHUNK):
                size += len(chunk)
                if size > limit:
                    raise LimitExceeded(
                        "attachment-too-large", f"The file has more than {limit} bytes.", mend="Split it."
                    )
                digest.update(chunk)
                with storage_errors(self._folder):
                    target.write(chunk)
            with storage_errors(self._folder):
                target.flush()
        return Copy(Path(target.name), digest.hexdigest(), size)


def sweep(root: Path) -> None:
    """Remove what earlier runs left in the spool."""
    shutil.rmtree(root, ignore_errors=True)
