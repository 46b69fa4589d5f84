"""Blobs: what is called stored is whole, under its digest, and resumable on the way."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime import blob_folder as blobs_module
from runtime.blob_folder import BlobFolder
from runtime.blobs import CHUNK
from schemas.errors import Rejected, Unavailable

CONTENT = os.urandom(3 * CHUNK + 17)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def blobs(tmp_path: Path) -> BlobFolder:
    return BlobFolder(tmp_path / "store")


async def pieces(content: bytes, size: int = CHUNK) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def read(blobs: BlobFolder, digest: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in blobs.stream(digest, start=start, end=end)])


async def test_a_blob_comes_back_as_it_was(blobs: BlobFolder) -> None:
    """What was put under a digest is streamed back, whole or any part of it."""
    await blobs.put("u1", DIGEST, pieces(CONTENT), size=len(CONTENT))
    assert await blobs.size(DIGEST) == len(CONTENT)
    assert await read(blobs, DIGEST) == CONTENT
    assert await read(blobs, DIGEST, CHUNK - 1, CHUNK + 5) == CONTENT[CHUNK - 1 : CHUNK + 5]
    assert [digest async for digest in blobs.digests()] == [DIGEST]


async def test_an_empty_blob_is_a_blob(blobs: BlobFolder) -> None:
    """An attachment without a byte is kept like any other."""
    digest = hashlib.sha256(b"").hexdigest()
    await blobs.put("u1", digest, pieces(b""), size=0)
    assert await blobs.size(digest) == 0
    assert await read(blobs, digest) == b""


async def test_an_upload_goes_on_where_it_broke_off(blobs: BlobFolder, tmp_path: Path) -> None:
    """Bytes that came before a break stay, also for a store opened anew, and the rest is appended to them."""

    async def breaking() -> AsyncIterator[bytes]:
        yield CONTENT[:1000]
        raise ConnectionResetError

    with pytest.raises((ConnectionResetError, Unavailable)):
        await blobs.append("u1", 0, breaking(), limit=len(CONTENT))
    again = BlobFolder(tmp_path / "store")
    assert await again.upload_offset("u1") == 1000
    await again.append("u1", 1000, pieces(CONTENT[1000:]), limit=len(CONTENT))
    await again.finish("u1", DIGEST, len(CONTENT))
    assert await read(again, DIGEST) == CONTENT
    assert await again.upload_offset("u1") == 0


async def test_a_wrong_offset_is_refused(blobs: BlobFolder) -> None:
    """An append that would leave a hole or write twice changes nothing and says where the upload stands."""
    await blobs.append("u1", 0, pieces(b"abc"), limit=10)
    for offset in (0, 2, 4):
        with pytest.raises(Rejected, match="stands at byte 3") as caught:
            await blobs.append("u1", offset, pieces(b"x"), limit=10)
        assert caught.value.code == "upload-offset"
    assert await blobs.upload_offset("u1") == 3


async def test_more_than_announced_is_refused_while_it_comes(blobs: BlobFolder) -> None:
    """An upload stops at the announced size: a sender cannot fill the disk."""
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
async def test_other_bytes_never_become_the_blob(blobs: BlobFolder, content: bytes) -> None:
    """Bytes of another digest or length are refused, dropped, and not found afterwards."""
    await blobs.append("u1", 0, pieces(content), limit=len(content))
    with pytest.raises(Rejected) as caught:
        await blobs.finish("u1", DIGEST, len(CONTENT))
    assert caught.value.code == "attachment-digest"
    assert await blobs.size(DIGEST) is None
    assert await blobs.upload_offset("u1") == 0


async def test_a_full_disk_keeps_what_came(blobs: BlobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is `storage-full`, and the upload can go on once there is space."""
    await blobs.append("u1", 0, pieces(CONTENT[:CHUNK]), limit=len(CONTENT))

    def full(path: Path) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(blobs_module, "_open_for_append", full)
    with pytest.raises(Unavailable) as caught:
        await blobs.append("u1", CHUNK, pieces(CONTENT[CHUNK:]), limit=len(CONTENT))
    assert caught.value.code == "storage-full"
    monkeypatch.undo()
    await blobs.append("u1", CHUNK, pieces(CONTENT[CHUNK:]), limit=len(CONTENT))
    await blobs.finish("u1", DIGEST, len(CONTENT))


@pytest.mark.parametrize("name", ["../escape", "a/b", "", "x" * 10 + "\x00", "ä"])
async def test_names_cannot_leave_the_folder(blobs: BlobFolder, name: str) -> None:
    """A digest or an upload id that is none is refused before it becomes a path."""
    with pytest.raises(Rejected):
        blobs.path(name)
    with pytest.raises(Rejected):
        await blobs.upload_offset(name)


async def test_the_file_and_its_folder_are_synced_before_the_answer(
    blobs: BlobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """finish() syncs the file, then renames it, then syncs the folder that holds it."""
    steps: list[str] = []
    fsync, replace, sync_folder = os.fsync, Path.replace, blobs_module.sync_folder
    monkeypatch.setattr(os, "fsync", lambda fd: (steps.append("file"), fsync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda self, target: (steps.append("rename"), replace(self, target))[1])
    monkeypatch.setattr(
        blobs_module, "sync_folder", lambda path: (steps.append(f"folder {path.name}"), sync_folder(path))
    )
    await blobs.put("u1", DIGEST, pieces(CONTENT), size=len(CONTENT))
    renamed = steps.index("rename")
    assert "file" in steps[:renamed]
    assert f"folder {DIGEST[2:4]}" in steps[renamed:]
