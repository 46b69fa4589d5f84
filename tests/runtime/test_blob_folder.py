"""Blobs in a folder: what is called stored is on the disk."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime import blob_folder
from runtime.blob_folder import BlobFolder
from runtime.blobs import CHUNK
from schemas.errors import Unavailable
from tests.runtime.test_blobs import CONTENT, DIGEST, pieces, uploaded


async def test_a_full_disk_keeps_what_came(folder_blobs: BlobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is `storage-full`, and the upload can go on once there is space."""
    await folder_blobs.append("u1", 0, pieces(CONTENT[:CHUNK]), limit=len(CONTENT))

    def full(path: Path) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(blob_folder, "_open_for_append", full)
        with pytest.raises(Unavailable) as caught:
            await folder_blobs.append("u1", CHUNK, pieces(CONTENT[CHUNK:]), limit=len(CONTENT))
    assert caught.value.code == "storage-full"
    await folder_blobs.append("u1", CHUNK, pieces(CONTENT[CHUNK:]), limit=len(CONTENT))
    await folder_blobs.finish("u1", DIGEST, len(CONTENT))


async def test_the_file_and_its_folder_are_synced_before_the_answer(
    folder_blobs: BlobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """finish() syncs the file, then renames it, then syncs the folder that holds it."""
    steps: list[str] = []
    fsync, replace, sync_folder = os.fsync, Path.replace, blob_folder.sync_folder
    monkeypatch.setattr(os, "fsync", lambda fd: (steps.append("file"), fsync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda self, target: (steps.append("rename"), replace(self, target))[1])
    monkeypatch.setattr(
        blob_folder, "sync_folder", lambda path: (steps.append(f"folder {path.name}"), sync_folder(path))
    )
    await folder_blobs.put("u1", DIGEST, pieces(CONTENT), size=len(CONTENT))
    renamed = steps.index("rename")
    assert "file" in steps[:renamed]
    assert f"folder {DIGEST[2:4]}" in steps[renamed:]


async def test_a_checked_upload_is_no_blob_until_it_is_placed(folder_blobs: BlobFolder) -> None:
    """Checking leaves the bytes among the uploads; placing makes them the blob."""
    await uploaded(folder_blobs)
    await folder_blobs.check("u1", DIGEST, len(CONTENT))
    assert await folder_blobs.size(DIGEST) is None
    await folder_blobs.place("u1", DIGEST)
    assert await folder_blobs.size(DIGEST) == len(CONTENT)


async def test_a_touched_blob_counts_as_placed_now(folder_blobs: BlobFolder) -> None:
    """A blob that is about to be named again is younger than a sweep that had begun before."""
    await folder_blobs.put("u1", DIGEST, pieces(CONTENT), size=len(CONTENT))
    path = folder_blobs.path(DIGEST)
    placed = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == placed:  # the file system's clock ticks every few milliseconds
        await folder_blobs.touch(DIGEST)
    assert not await folder_blobs.collect(DIGEST, placed_before=datetime.fromtimestamp(placed / 1e9, UTC))
