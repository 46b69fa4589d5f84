"""Wherever a process dies between two requests to the storage, the next goes on, and sweeps clear what it left."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runtime import blob_bucket
from runtime.blob_bucket import BlobBucket
from runtime.object_storage import ObjectStorage
from tests.runtime.test_blobs import read

_PART = 1000
CONTENT = random.Random(11).randbytes(2 * _PART + 300)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Died(Exception):  # noqa: N818 - no error: the process is gone
    """The process ends here."""


async def uneven(start: int) -> AsyncIterator[bytes]:
    for position in range(start, len(CONTENT), 700):
        yield CONTENT[position : position + 700]


async def send(bucket: BlobBucket) -> None:
    """What a sender does, and does again after a break: ask where it stands, bring the rest, have it placed."""
    if await bucket.size(DIGEST) is None:
        position = await bucket.upload_offset("u1")
        await bucket.append("u1", position, uneven(position), limit=len(CONTENT))
        await bucket.check("u1", DIGEST, len(CONTENT))
    await bucket.place("u1", DIGEST)


async def test_a_death_between_any_two_requests_is_made_good(
    opening_bucket: Callable[[], BlobBucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step of taking, putting together and placing is the last of one process; nothing is lost or left over."""
    monkeypatch.setattr(blob_bucket, "PART", _PART)
    monkeypatch.setattr(blob_bucket, "_YOUNG", timedelta(0))
    steps = 0
    while await _dies_at(steps, opening_bucket, monkeypatch):
        bucket = opening_bucket()
        await send(bucket)
        assert await read(bucket, DIGEST) == CONTENT
        later = datetime.now(UTC) + timedelta(minutes=1)
        async for upload in bucket.untouched_uploads(later):
            await bucket.abandon(upload)
        assert len([each async for each in bucket._storage.listed("")]) == 1
        assert await bucket.collect(DIGEST, placed_before=later)
        assert [each async for each in bucket._storage.listed("")] == []
        steps += 1
    assert steps >= 10


async def _dies_at(step: int, opening_bucket: Callable[[], BlobBucket], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Send with a process that ends before its request number `step`; False if it needs fewer."""
    left = step

    def dying(name: str) -> Any:
        request = getattr(ObjectStorage, name)

        async def die_or_ask(self: ObjectStorage, *arguments: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Died
            left -= 1
            return await request(self, *arguments)

        return die_or_ask

    with monkeypatch.context() as patch:
        for name in ("put", "put_parts", "read", "copy", "delete"):
            patch.setattr(ObjectStorage, name, dying(name))
        try:
            await send(opening_bucket())
        except Died:
            return True
    return False
