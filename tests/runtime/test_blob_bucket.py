"""Blobs on object storage: many processes, a server that goes away, and what sweeps may take."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
import pytest

from runtime import blob_bucket, object_storage
from runtime.blob_bucket import BlobBucket
from runtime.blob_settings import blobs_of, try_at_start
from runtime.blobs import CHUNK
from runtime.clock import utc_now
from runtime.kept_attachments import AttachmentAudit
from runtime.object_storage import PART
from runtime.readiness import Readiness
from schemas.auditing import FindingCode
from schemas.envelope import AttachmentSize
from schemas.errors import Rejected, Unavailable
from schemas.limits import MIB
from tests.runtime.test_blobs import pieces, read
from tests.services.seaweedfs import BUCKET, SECRET_KEY, SeaweedFs, seaweedfs

LONG = random.Random(4).randbytes(2 * PART + 1_000_003)
DIGEST = hashlib.sha256(LONG).hexdigest()
SHORT = b"attachment"
SHORT_DIGEST = hashlib.sha256(SHORT).hexdigest()


@pytest.fixture
def bucket(opening_bucket: Callable[[], BlobBucket]) -> BlobBucket:
    return opening_bucket()


async def names(bucket: BlobBucket, prefix: str = "") -> list[str]:
    return [each.name async for each in bucket._storage.listed(prefix)]


async def breaking(content: bytes) -> AsyncIterator[bytes]:
    async for piece in pieces(content):
        yield piece
    raise ConnectionResetError


async def test_another_process_goes_on_with_an_upload(opening_bucket: Callable[[], BlobBucket]) -> None:
    """Each request of an upload may come to another process, broken off at any byte, and its chunks stay few."""
    position = 0
    for end in (1, 1000, PART - 1, PART, PART + 1, 2 * PART + 5, len(LONG)):
        assert await opening_bucket().upload_offset("u1") == position
        with pytest.raises(ConnectionResetError):
            await opening_bucket().append("u1", position, breaking(LONG[position:end]), limit=len(LONG))
        position = end
    bucket = opening_bucket()
    assert len(await names(bucket, "uploads/u1/")) == 3
    await bucket.finish("u1", DIGEST, len(LONG))
    assert await read(opening_bucket(), DIGEST) == LONG
    assert await names(bucket, "uploads/") == []


async def test_what_is_long_is_put_together_of_parts_that_s3_takes(bucket: BlobBucket) -> None:
    """The object is a multipart one, of parts of no less than 5 MiB but the last."""
    await bucket.put("u1", DIGEST, pieces(LONG), size=len(LONG))
    (name,) = await names(bucket, "blobs/")
    etag = (await obstore.head_async(bucket._storage._store, name))["e_tag"]
    assert PART >= 5 * MIB
    assert etag is not None
    assert etag.strip('"').endswith("-3")


async def test_writers_that_know_nothing_of_each_other_do_no_harm(opening_bucket: Callable[[], BlobBucket]) -> None:
    """One that was cut off and does not know it writes what the other writes; the upload is whole all the same."""
    first, second = opening_bucket(), opening_bucket()
    await first.append("u1", 0, pieces(LONG[: PART + 1000]), limit=len(LONG))
    go_on = asyncio.Event()

    async def halting() -> AsyncIterator[bytes]:
        yield LONG[PART + 1000 : PART + 2000]
        await go_on.wait()
        yield LONG[PART + 2000 : 2 * PART + 10]

    stale = asyncio.create_task(first.append("u1", PART + 1000, halting(), limit=len(LONG)))
    await asyncio.sleep(0.05)
    await second.append("u1", PART + 1000, pieces(LONG[PART + 1000 : PART + 5000]), limit=len(LONG))
    go_on.set()
    await stale
    position = await second.upload_offset("u1")
    assert position == 2 * PART + 10
    await second.append("u1", position, pieces(LONG[position:]), limit=len(LONG))
    await second.finish("u1", DIGEST, len(LONG))
    assert await read(first, DIGEST) == LONG


async def test_a_damaged_chunk_is_noticed(bucket: BlobBucket) -> None:
    """Bytes that changed in the storage do not become the blob; the upload begins anew."""
    await bucket.append("u1", 0, pieces(LONG), limit=len(LONG))
    second = (await names(bucket, "uploads/u1/"))[1]
    await bucket._storage.put(second, bytes(PART))
    with pytest.raises(Rejected) as caught:
        await bucket.finish("u1", DIGEST, len(LONG))
    assert caught.value.code == "attachment-digest"
    assert await names(bucket) == []


async def test_an_audit_sees_what_is_missing_changed_or_out_of_reach(bucket: BlobBucket) -> None:
    """Missing, of other length, of other bytes: each is a finding; a storage that does not answer is none."""
    await bucket.put("u1", DIGEST, pieces(LONG), size=len(LONG))
    audit, named = AttachmentAudit(bucket, deep=True), AttachmentSize(DIGEST, len(LONG))

    async def found() -> FindingCode | None:
        fault = await asyncio.to_thread(audit.fault, named, None)
        return fault.code if fault else None

    assert await found() is None
    (name,) = await names(bucket, "blobs/")
    await bucket._storage.put(name, LONG[:-1] + bytes([LONG[-1] ^ 1]))
    assert await found() is FindingCode.ATTACHMENT_CHANGED
    await bucket._storage.put(name, LONG[:-1])
    assert await found() is FindingCode.ATTACHMENT_SIZE
    await bucket._storage.delete([name])
    assert await found() is FindingCode.ATTACHMENT_MISSING


async def test_a_placement_that_is_not_young_is_made_anew(bucket: BlobBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is touched stands under a new name afterwards, which a sweep that saw the old one cannot take."""
    await bucket.put("u1", DIGEST, pieces(LONG), size=len(LONG))
    (old,) = await bucket._placements(DIGEST)
    await bucket.touch(DIGEST)
    assert await bucket._placements(DIGEST) == [old]
    # The server's clock cannot be moved.
    monkeypatch.setattr(blob_bucket, "_YOUNG", timedelta(0))
    monkeypatch.setattr(object_storage, "_COPIED_AT_ONCE", 0)
    reading = bucket.stream(DIGEST)
    begun = await anext(reading)
    await bucket.touch(DIGEST)
    (new,) = await bucket._placements(DIGEST)
    assert new.name != old.name
    # A sweep that is late by any time drops the name that it saw; who was reading goes on with the new one.
    await bucket._storage.delete([old.name])
    assert begun + b"".join([chunk async for chunk in reading]) == LONG


async def test_an_upload_whose_blob_was_collected_while_it_waited_is_placed_all_the_same(bucket: BlobBucket) -> None:
    """A submission may wait for its other attachments for longer than a sweep does."""
    await bucket.append("u1", 0, pieces(LONG), limit=len(LONG))
    await bucket.check("u1", DIGEST, len(LONG))
    assert await bucket.collect(DIGEST, placed_before=datetime.now(UTC) + timedelta(minutes=1))
    await bucket.place("u1", DIGEST)
    assert await read(bucket, DIGEST) == LONG


@pytest.mark.timeout(300)
async def test_a_server_that_dies_or_hangs_is_told_and_waited_for(tmp_path: Path) -> None:
    """Killed in the middle of an upload, frozen in the middle of a download: both go on from there later."""
    with seaweedfs(tmp_path / "server") as server:
        server.make_bucket(BUCKET)
        settings = server.settings(tmp_path, "hub", timeout_seconds=2)
        bucket = blobs_of(settings, folder=tmp_path, beside=tmp_path, clock=utc_now)

        async def upload(position: int, *, kill_at: int | None = None) -> None:
            async def content() -> AsyncIterator[bytes]:
                for start in range(position, len(LONG), CHUNK):
                    if kill_at is not None and start >= kill_at:
                        server.kill()
                    yield LONG[start : start + CHUNK]

            await bucket.append("u1", position, content(), limit=len(LONG))

        with pytest.raises(Unavailable) as caught:
            await upload(0, kill_at=PART + CHUNK)
        assert caught.value.code == "blob-store-unreachable"
        assert "endpoint" in str(caught.value)
        (report,) = await Readiness({"blobs": bucket.probe}).reports()
        assert "blob-store-unreachable" in str(report.fault)
        # A program that starts now is not kept from it.
        await try_at_start(bucket, "hub")
        await asyncio.to_thread(server.start)
        assert await bucket.upload_offset("u1") == PART
        await upload(PART)
        await bucket.finish("u1", DIGEST, len(LONG))

        got = b""

        async def download() -> None:
            nonlocal got
            async for chunk in bucket.stream(DIGEST):
                got += chunk
                server.freeze()

        with pytest.raises(Unavailable) as caught:
            await download()
        assert caught.value.code == "blob-store-unreachable"
        server.thaw()
        assert got == LONG[: len(got)]
        assert got + await read(bucket, DIGEST, start=len(got)) == LONG


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"url": "s3://no-such-bucket/hub"}, "blob-store-bucket"),
        ({"wrong_secret": True}, "blob-store-refused"),
    ],
)
async def test_what_no_waiting_mends_ends_a_start(
    changed: dict[str, object], code: str, tmp_path: Path, object_storage: SeaweedFs
) -> None:
    """A bucket that is not there and keys that are refused are said at the start, with the setting, without a key."""
    wrong_secret = changed.pop("wrong_secret", False)
    settings = object_storage.settings(tmp_path, "hub", **changed)
    if wrong_secret:
        file = tmp_path / "object-storage.toml"
        file.write_text(file.read_text().replace(SECRET_KEY, "another-secret"))
    bucket = blobs_of(settings, folder=tmp_path, beside=tmp_path, clock=utc_now)
    with pytest.raises(Unavailable) as caught:
        await try_at_start(bucket, "hub")
    assert caught.value.code == code
    assert "[blobs]" in str(caught.value)
    assert caught.value.__cause__ is None
    for text in (str(caught.value), repr(bucket), repr(vars(bucket)), repr(settings)):
        assert "secret" not in text.replace("no-such", "")


async def test_a_prefix_belongs_to_one_program(opening_bucket: Callable[[], BlobBucket]) -> None:
    """Two programs in one prefix would sweep away each other's attachments: the second does not start."""
    await try_at_start(opening_bucket(), "hub hub.example.vn")
    await try_at_start(opening_bucket(), "hub hub.example.vn")
    with pytest.raises(Unavailable) as caught:
        await try_at_start(opening_bucket(), "node vpcp")
    assert caught.value.code == "blob-store-taken"


async def test_a_prefix_is_asked_for_when_the_storage_is_back(
    opening_bucket: Callable[[], BlobBucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that started while the storage was away neither writes into another's prefix nor sweeps there."""
    own, other = opening_bucket(), opening_bucket()
    await try_at_start(own, "hub hub.example.vn")
    await own.put("u1", SHORT_DIGEST, pieces(SHORT), size=len(SHORT))
    with monkeypatch.context() as away:
        away.setattr(other._storage, "read", _unreachable)
        await try_at_start(other, "node vpcp")
    long_ago = utc_now() + timedelta(hours=2)
    for attempt in (
        lambda: other.put("u2", SHORT_DIGEST, pieces(SHORT), size=len(SHORT)),
        lambda: other.collect(SHORT_DIGEST, placed_before=long_ago),
        lambda: anext(other.untouched_uploads(long_ago)),
        other.probe,
    ):
        with pytest.raises(Unavailable) as caught:
            await attempt()
        assert caught.value.code == "blob-store-taken"
    assert await read(own, SHORT_DIGEST) == SHORT


async def _unreachable(*_asked: object) -> bytes:
    raise Unavailable("blob-store-unreachable", "It does not answer.")


@pytest.mark.timeout(300)
def test_memory_does_not_grow_with_a_blob(tmp_path: Path, object_storage: SeaweedFs) -> None:
    """A process that takes, checks and reads 96 MiB has grown by a part or a few."""
    object_storage.settings(tmp_path, "memory")
    program = [sys.executable, "-m", "tests.services.blob_memory", object_storage.endpoint, str(tmp_path)]
    grown = int(subprocess.run(program, check=True, capture_output=True, env=os.environ, timeout=250).stdout)
    assert grown < 64 * MIB
