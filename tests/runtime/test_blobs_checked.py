"""A complete upload is checked first and placed later, when what names it is about to be committed."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.blob_folder import BlobFolder
from schemas.errors import Rejected, Unavailable

CONTENT = "Quyết định số 12/QĐ-UBND".encode() * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _uploaded(blobs: BlobFolder, content: bytes = CONTENT) -> None:
    await blobs.append("u1", 0, _chunks(content), limit=len(content))


async def test_a_checked_upload_is_no_blob_until_it_is_placed(tmp_path: Path) -> None:
    """Checking leaves the bytes among the uploads; placing makes them the blob."""
    blobs = BlobFolder(tmp_path)
    await _uploaded(blobs)
    await blobs.check("u1", DIGEST, len(CONTENT))
    assert await blobs.size(DIGEST) is None
    await blobs.place("u1", DIGEST)
    assert await blobs.size(DIGEST) == len(CONTENT)
    assert await blobs.upload_offset("u1") == 0


async def test_placing_again_is_no_error(tmp_path: Path) -> None:
    """Two submissions of one message may place the same upload; the second finds its work done."""
    blobs = BlobFolder(tmp_path)
    await _uploaded(blobs)
    await blobs.place("u1", DIGEST)
    await blobs.place("u1", DIGEST)
    assert await blobs.size(DIGEST) == len(CONTENT)


async def test_an_upload_that_is_gone_cannot_be_placed(tmp_path: Path) -> None:
    """What was dropped meanwhile is told as `blob-missing`, for the submission to begin anew."""
    with pytest.raises(Unavailable) as caught:
        await BlobFolder(tmp_path).place("u1", DIGEST)
    assert caught.value.code == "blob-missing"


async def test_other_bytes_fail_the_check_and_are_dropped(tmp_path: Path) -> None:
    """Bytes with another digest are refused at the check, and nothing of them stays."""
    blobs = BlobFolder(tmp_path)
    await _uploaded(blobs, CONTENT[::-1])
    with pytest.raises(Rejected) as caught:
        await blobs.check("u1", DIGEST, len(CONTENT))
    assert caught.value.code == "attachment-digest"
    assert await blobs.upload_offset("u1") == 0


async def test_a_short_upload_can_be_read(tmp_path: Path) -> None:
    """What came of an upload is read back whole."""
    blobs = BlobFolder(tmp_path)
    await _uploaded(blobs)
    assert await blobs.read_upload("u1") == CONTENT
