"""Digests that are made while a file is written: right whatever happens between two writes."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import AsyncIterator
from io import BufferedRandom, FileIO
from pathlib import Path

import pytest

from runtime.blob_folder import BlobFolder
from runtime.written_digests import WrittenDigests
from schemas.errors import Rejected, Unavailable

CONTENT = bytes(range(256)) * 3000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 100_000):
        yield content[start : start + 100_000]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were read for their digest."""
    files: list[str] = []
    original = hashlib.file_digest

    def file_digest(file, name):  # type: ignore[no-untyped-def]  # the library's own signature is overloaded
        files.append(file.name if isinstance(file.name, str) else str(file.fileno()))
        return original(file, name)

    monkeypatch.setattr(hashlib, "file_digest", file_digest)
    return files


@pytest.mark.parametrize("cuts", [[], [0], [1, 65_536, 700_000]])
async def test_what_one_process_wrote_is_not_read_again(tmp_path: Path, read: list[str], cuts: list[int]) -> None:
    """An upload that came through one store, in one go or in pieces, is whole without its file being read."""
    store = BlobFolder(tmp_path)
    for start, end in zip([0, *cuts], [*cuts, len(CONTENT)], strict=True):
        await store.append("u1", start, _pieces(CONTENT[start:end]), limit=len(CONTENT))
    await store.finish("u1", DIGEST, len(CONTENT))
    assert read == []
    assert b"".join([piece async for piece in store.stream(DIGEST)]) == CONTENT


@pytest.mark.parametrize("cut", [1, 100_000, len(CONTENT)])
async def test_what_another_process_began_is_read(tmp_path: Path, read: list[str], cut: int) -> None:
    """After a restart, however late, the bytes from before it count as they stand in the file."""
    await BlobFolder(tmp_path).append("u1", 0, _pieces(CONTENT[:cut]), limit=len(CONTENT))
    restarted = BlobFolder(tmp_path)
    await restarted.append("u1", cut, _pieces(CONTENT[cut:]), limit=len(CONTENT))
    await restarted.finish("u1", DIGEST, len(CONTENT))
    assert len(read) == 1


async def test_bytes_that_another_put_into_the_file_are_never_taken_for_ours(tmp_path: Path) -> None:
    """A file that changed since it was written is read, and refused for what it holds."""
    store = BlobFolder(tmp_path)
    await store.append("u1", 0, _pieces(CONTENT), limit=len(CONTENT))
    with (tmp_path / "uploads" / "u1").open("r+b") as file:
        file.write(b"other")
    with pytest.raises(Rejected) as caught:
        await store.finish("u1", DIGEST, len(CONTENT))
    assert caught.value.code == "attachment-digest"


async def test_an_upload_that_begins_anew_forgets_what_came_before(tmp_path: Path) -> None:
    """After an upload was dropped, its name stands for new bytes."""
    store = BlobFolder(tmp_path)
    await store.append("u1", 0, _pieces(CONTENT[::-1]), limit=len(CONTENT))
    await store.abandon("u1")
    await store.append("u1", 0, _pieces(CONTENT), limit=len(CONTENT))
    await store.finish("u1", DIGEST, len(CONTENT))


async def test_two_processes_never_write_one_upload(tmp_path: Path) -> None:
    """While one writes, another is told to come later; what the first writes is whole."""
    store, other = BlobFolder(tmp_path), BlobFolder(tmp_path)

    async def interrupted() -> AsyncIterator[bytes]:
        yield CONTENT[:100]
        with pytest.raises(Unavailable) as caught:
            await other.append("u1", 100, _pieces(CONTENT[100:]), limit=len(CONTENT))
        assert caught.value.code == "upload-busy"
        yield CONTENT[100:]

    await store.append("u1", 0, interrupted(), limit=len(CONTENT))
    await store.finish("u1", DIGEST, len(CONTENT))


async def test_a_digest_that_is_found_while_a_blob_is_taken_is_the_files(tmp_path: Path, read: list[str]) -> None:
    """Bytes whose digest nobody said beforehand are stored under their own, and not read again for it."""
    store = BlobFolder(tmp_path)
    assert await store.take("u1", _pieces(CONTENT), limit=len(CONTENT)) == (DIGEST, len(CONTENT))
    assert read == []
    assert b"".join([piece async for piece in store.stream(DIGEST)]) == CONTENT


def test_what_a_full_disk_took_of_a_write_is_read(tmp_path: Path, read: list[str]) -> None:
    """After a write that failed half-way the digest is that of the file, not of what was to be written."""

    class Full(BufferedRandom):
        def write(self, content: memoryview) -> int:  # type: ignore[override]  # as it is called here
            super().write(content[:1000])
            self.flush()
            raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "u1").touch()
    digests = WrittenDigests()
    with Full(FileIO(tmp_path / "u1", "r+")) as file:
        writing = digests.begin("u1", file)
        with pytest.raises(OSError, match="No space"):
            writing.write(CONTENT)
        digests.end("u1", writing)
        assert digests.digest("u1", file) == hashlib.sha256(CONTENT[:1000]).hexdigest()
    assert len(read) == 1
