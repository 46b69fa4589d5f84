"""Copying blobs from one store to another: what a program does whose attachments are to lie elsewhere from now on."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from runtime.blob_folder import BlobFolder
from runtime.blob_settings import try_at_start
from runtime.blobs import BlobStore
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected


@dataclass(frozen=True, slots=True)
class BlobCopy:
    """What was copied, how many blobs were there already, and the `damaged`: their bytes have another digest."""

    copied: int
    copied_bytes: int
    present: int
    damaged: tuple[Sha256Hex, ...]


async def copy_folder(
    folder: Path,
    target: BlobStore,
    owner: str,
    *,
    began: Callable[[int], None] = lambda _blobs: None,
    advanced: Callable[[int], None] = lambda _blobs: None,
) -> BlobCopy:
    """Copy the blobs in `folder` to `target`, `owner`'s; broken off, it goes on with what is not there yet.

    `began` is told how many blobs there are, `advanced` of each. Each is compared with its digest on the way.

    Raises:
        Rejected: `blobs-in-folder`: the target is a folder: no bucket is set.
        Unavailable: `blob-store-…`.
    """
    if isinstance(target, BlobFolder):
        raise Rejected(
            "blobs-in-folder", "No bucket is set.", mend="Set `url` of [blobs] first; docs/object-storage.md says how."
        )
    await target.probe()
    await try_at_start(target, owner)
    source = BlobFolder(folder)
    digests = [digest async for digest in source.digests()]
    began(len(digests))
    copied, copied_bytes, damaged = 0, 0, []
    for digest in digests:
        size = await source.size(digest)
        if size is not None and await target.size(digest) != size:
            try:
                async with aclosing(source.stream(digest)) as pieces:
                    await target.put(f"copy{secrets.token_hex(8)}", digest, pieces, size=size)
            except Rejected:
                damaged.append(digest)
            else:
                copied, copied_bytes = copied + 1, copied_bytes + size
        advanced(1)
    return BlobCopy(copied, copied_bytes, len(digests) - copied - len(damaged), tuple(damaged))
