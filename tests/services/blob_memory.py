"""By how many bytes the peak memory of a process grows that puts 96 MiB on object storage and reads them back."""

from __future__ import annotations

import asyncio
import hashlib
import resource
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from runtime.blob_settings import BlobSettings, blobs_of
from runtime.clock import utc_now
from schemas.limits import MIB
from tests.services.seaweedfs import BUCKET

_PIECE = bytes(range(256)) * (MIB // 256)
_PIECES = 96


async def _pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield _PIECE


async def _put_and_read(endpoint: str, folder: Path) -> int:
    settings = BlobSettings.model_validate(
        {"url": f"s3://{BUCKET}/memory", "endpoint": endpoint, "credentials_file": "object-storage.toml"}
    )
    blobs = blobs_of(settings, folder=folder, beside=folder, clock=utc_now)
    # What the first use of the library takes is no part of a blob.
    await blobs.put("first", hashlib.sha256(_PIECE).hexdigest(), _pieces(1), size=MIB)
    before = _peak()
    digest = hashlib.sha256()
    for _ in range(_PIECES):
        digest.update(_PIECE)
    await blobs.put("second", digest.hexdigest(), _pieces(_PIECES), size=_PIECES * MIB)
    found = hashlib.sha256()
    async for chunk in blobs.stream(digest.hexdigest()):
        found.update(chunk)
    if found.digest() != digest.digest():
        raise LookupError("other bytes came back")
    return _peak() - before


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.stdout.write(str(asyncio.run(_put_and_read(sys.argv[1], Path(sys.argv[2])))))
