"""Blobs, in a folder and on object storage: what is called stored is whole, under its digest, resumable on the way."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest

from runtime.blobs import CHUNK, BlobStore
from schemas.errors import Rejected, Unavailable

CONTENT = os.urandom(3 * CHUNK + 17)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


async def pieces(content: bytes, size: int = CHUNK) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def read(blobs: BlobStore, digest: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in blobs.stream(digest, start=start, end=end)])


async def uploaded(blobs: BlobStore, content: bytes = CONTENT) -> None:
    await blobs.append("u1", 0, pieces(content), limit=len(content))


async def test_a_blob_comes_back_as_it_was(blobs: BlobStore) -> None:
    """What was put under a digest is streamed back, whole or any part of it, or read by code in a thread."""
    await blobs.put("u1", DIGEST, pieces(CONTENT), size=len(CONTENT))
    assert await blobs.size(DIGEST) == len(CONTENT)
    assert await read(blobs, DIGEST) == CONTENT
    assert await read(blobs, DIGEST, CHUNK - 1, CHUNK + 5) == CONTENT[CHUNK - 1 : CHUNK + 5]
    assert await read(blobs, DIGEST, len(CONTENT)) == b""
    with blobs.open(DIGEST) as found:
        assert found.size == len(CONTENT)
        assert b"".join(iter(lambda: found.read(100_000), b"")) == CONTENT
    assert [digest async for digest in blobs.digests()] == [DIGEST]


async def test_an_empty_blob_is_a_blob(blobs: BlobStore) -> None:
    """An attachment without a byte is kept like any other."""
    digest = hashlib.sha256(b"").hexdigest()
    await blobs.put("u1", digest, pieces(b""), size=0)
    assert await blobs.size(digest) == 0
    assert await read(blobs, digest) == b""


async def test_an_upload_goes_on_where_it_broke_off(blobs: BlobStore, opening: Callable[[], BlobStore]) -> None:
    """Bytes that came before a break stay, also for a store opened anew, and the rest is appended to them."""

    async def breaking() -> AsyncIterator[bytes]:
        yield CONTENT[:1000]
        raise ConnectionResetError

    with pytest.raises((ConnectionResetError, Unavailable)):
        await blobs.append("u1", 0, breaking(), limit=len(CONTENT))
    again = opening()
    assert await again.upload_offset("u1") == 1000
    await again.append("u1", 1000, pieces(CONTENT[1000:]), limit=len(CONTENT))
    await again.finish("u1", DIGEST, len(CONTENT))
    assert await read(again, DIGEST) == CONTENT
    assert await again.upload_offset("u1") == 0


async def test_a_wrong_offset_is_refused(blobs: BlobStore) -> None:
    """An append that would leave a hole or write twice changes nothing and says where the upload stands."""
    await blobs.append("u1", 0, pieces(b"abc"), limit=10)
    for offset in (0, 2, 4):
        with pytest.raises(Rejected, match="stands at byte 3") as caught:
            await blobs.append("u1", offset, pieces(b"x"), limit=10)
        assert caught.value.code == "upload-offset"
    assert await blobs.upload_offset("u1") == 3


async def test_more_than_announced_is_refused_while_it_comes(blobs: BlobStore) -> None:
    """An upload stops at the announced size: a sender cannot fill the store."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += CHUNK
            yield bytes(CHUNK)

    with pytest.raises(Rejected) as caught:
        await blobs.append("u1", 0, endless(), limit=2 * CHUNK)
    assert caught.value.code == "attachment-too-large"
    assert sent == 3 * CHUNK
    assert await blobs.upload_offset("u1") <= 2 * CHUNK


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[:-1] + b"\x00", CONTENT + b"x"])
async def test_other_bytes_never_become_the_blob(blobs: BlobStore, content: bytes) -> None:
    """Bytes of another digest or length are refused, dropped, and not found afterwards."""
    await blobs.append("u1", 0, pieces(content), limit=len(content))
    with pytest.raises(Rejected) as caught:
        await blobs.finish("u1", DIGEST, len(CONTENT))
    assert caught.value.code == "attachment-digest"
    assert await blobs.size(DIGEST) is None
    assert await blobs.upload_offset("u1") == 0


async def test_who_names_a_blob_must_bring_its_bytes(blobs: BlobStore) -> None:
    """That a blob is here already does not let other bytes pass for it."""
    await blobs.put("u1", DIGEST, pieces(CONTENT), size=len(CONTENT))
    await blobs.append("u2", 0, pieces(CONTENT[::-1]), limit=len(CONTENT))
    with pytest.raises(Rejected) as caught:
        await blobs.check("u2", DIGEST, len(CONTENT))
    assert caught.value.code == "attachment-digest"
    assert await read(blobs, DIGEST) == CONTENT


@pytest.mark.parametrize("name", ["../escape", "a/b", "", "x" * 10 + "\x00", "ä"])
async def test_names_cannot_leave_the_store(blobs: BlobStore, name: str) -> None:
    """A digest or an upload id that is none is refused before it becomes a path."""
    with pytest.raises(Rejected):
        await blobs.size(name)
    with pytest.raises(Rejected):
        await blobs.upload_offset(name)


async def test_placing_again_is_no_error(blobs: BlobStore) -> None:
    """Two submissions of one message may place the same upload; the second finds its work done."""
    await uploaded(blobs)
    await blobs.check("u1", DIGEST, len(CONTENT))
    await blobs.place("u1", DIGEST)
    await blobs.place("u1", DIGEST)
    assert await blobs.size(DIGEST) == len(CONTENT)
    assert await blobs.upload_offset("u1") == 0


async def test_what_is_gone_can_be_neither_placed_nor_read(blobs: BlobStore) -> None:
    """What was dropped meanwhile is told as `blob-missing`, for the submission to begin anew."""
    for call in (blobs.place("u1", DIGEST), blobs.touch(DIGEST), read(blobs, DIGEST)):
        with pytest.raises(Unavailable) as caught:
            await call
        assert caught.value.code == "blob-missing"
    with pytest.raises(Unavailable) as caught, blobs.open(DIGEST):
        pass
    assert caught.value.code == "blob-missing"


async def test_an_upload_can_be_read_and_dropped(blobs: BlobStore) -> None:
    """What came of an upload is read back whole; an upload that was abandoned left nothing."""
    await uploaded(blobs)
    assert await blobs.read_upload("u1") == CONTENT
    await blobs.abandon("u1")
    assert await blobs.upload_offset("u1") == 0
    assert [upload async for upload in blobs.untouched_uploads(datetime.now(UTC) + timedelta(hours=1))] == []


async def test_only_what_was_placed_before_is_collected(blobs: BlobStore) -> None:
    """A blob younger than the sweep's moment stays, an older one goes; so it is with uploads."""
    await blobs.put("u1", DIGEST, pieces(CONTENT), size=len(CONTENT))
    await blobs.append("u2", 0, pieces(b"rest"), limit=4)
    now = datetime.now(UTC)
    earlier, later = now - timedelta(minutes=1), now + timedelta(minutes=1)
    assert not await blobs.collect(DIGEST, placed_before=earlier)
    assert [digest async for digest in blobs.digests(placed_before=earlier)] == []
    assert [upload async for upload in blobs.untouched_uploads(earlier)] == []
    assert [digest async for digest in blobs.digests(placed_before=later)] == [DIGEST]
    assert [upload async for upload in blobs.untouched_uploads(later)] == ["u2"]
    assert await blobs.collect(DIGEST, placed_before=later)
    assert not await blobs.collect(DIGEST, placed_before=later)
    assert await blobs.size(DIGEST) is None


async def test_a_store_that_works_passes_its_probe_and_keeps_nothing_of_it(blobs: BlobStore) -> None:
    """Readiness may ask as often as it likes."""
    await blobs.probe()
    assert [upload async for upload in blobs.untouched_uploads(datetime.now(UTC) + timedelta(hours=1))] == []
