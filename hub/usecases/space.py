"""Room on the disk: attachments stop before the database has none left."""

from __future__ import annotations

from runtime.blobs import BlobStore
from schemas.errors import Unavailable


def require_space(blobs: BlobStore, needed: int, *, spare: int) -> None:
    """Pass if `needed` bytes can come and `spare` are left; else `storage-full`."""
    free = blobs.free_bytes()
    if free is not None and free - needed < spare:
        raise Unavailable(
            "storage-full",
            f"The hub has no room for {needed} bytes of attachments.",
            mend="The submission is tried again by itself; the hub's operator must free space on its disk.",
        )
