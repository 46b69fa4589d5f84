"""Files: whole or not at all, private, and errors in our words."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from runtime.files import make_private_folder, others_reach, require_new_file, storage_errors, write_file
from runtime.readiness import try_folder
from schemas.errors import Rejected, Unavailable


def test_a_file_is_private_and_whole(tmp_path: Path) -> None:
    """write_file leaves one file, mode 0600, with the content, and nothing temporary."""
    write_file(tmp_path / "key", b"secret")
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "key"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the sync fails, the old content stands and no fragment lies beside it."""
    write_file(tmp_path / "key", b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable) as caught:
        write_file(tmp_path / "key", b"new")
    assert caught.value.code == "storage-full"
    assert (tmp_path / "key").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "key"]


async def test_several_processes_try_one_folder_at_once(tmp_path: Path) -> None:
    """Whether a folder takes files is found out beside others that do the same; nothing is left in it."""
    for _ in range(20):
        await asyncio.gather(*(try_folder(tmp_path) for _ in range(8)))
    assert not list(tmp_path.iterdir())


def test_folders_are_private(tmp_path: Path) -> None:
    """A folder made for keys or documents is its owner's alone."""
    make_private_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("number", "family", "code"),
    [
        (errno.ENOSPC, Unavailable, "storage-full"),
        (errno.EDQUOT, Unavailable, "storage-full"),
        (errno.EIO, Unavailable, "storage-failed"),
        (errno.EACCES, Rejected, "storage-permission"),
        (errno.ENOENT, Rejected, "file-missing"),
        (errno.EISDIR, Rejected, "path-is-folder"),
    ],
)
def test_system_errors_become_ours(number: int, family: type[Exception], code: str) -> None:
    """Each error of the system says whether trying again can help, and names the path."""
    with pytest.raises(family, match="the/path") as caught, storage_errors(Path("the/path")):
        raise OSError(number, os.strerror(number))
    assert caught.value.code == code  # type: ignore[attr-defined]  # both families have a code


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    """A path is free, or its file, its dangling link or its folder is named as what stands there."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    require_new_file(tmp_path / "free")
    for name, code in (("file", "file-exists"), ("link", "file-exists"), (".", "path-is-folder")):
        with pytest.raises(Rejected) as caught:
            require_new_file(tmp_path / name)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("mode", "owner", "user", "reached"),
    [
        (0o600, 1000, 1000, False),
        (0o640, 1000, 1000, True),
        (0o440, 0, 1000, False),
        (0o444, 0, 1000, True),
        (0o460, 0, 1000, True),
        (0o640, 0, 0, True),
    ],
)
def test_what_root_gives_to_a_services_group_is_private(
    monkeypatch: pytest.MonkeyPatch, mode: int, owner: int, user: int, reached: bool
) -> None:
    """A credential (root's, read by the service's group) is private to the service; any further right is not."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    status = os.stat_result((0o100000 | mode, 1, 1, 1, owner, 1000, 1, 0, 0, 0))
    assert others_reach(status) is reached
