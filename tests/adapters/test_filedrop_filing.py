"""Filing: a note never takes the place of something else, and nothing that stands stops an item from being filed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.filedrop.filing import file_failed
from adapters.filedrop.folders import DropFolders
from schemas.errors import Rejected

NOW = datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)


@pytest.fixture
def folders(tmp_path: Path) -> DropFolders:
    return DropFolders.prepare(tmp_path / "filedrop", group_access=False)


def fail(folders: DropFolders, name: str, content: str) -> Path:
    item = folders.outgoing / name
    item.write_text(content)
    return file_failed(item, Rejected("metadata-invalid", "It cannot be used."), NOW, folders)


def test_a_failed_item_named_like_a_note_stays_whole(folders: DropFolders) -> None:
    """The reason of `rep` is not written over a failed item that is called `rep.error.txt`."""
    precious = fail(folders, "rep.error.txt", "PRECIOUS")
    filed = fail(folders, "rep", "other")
    assert precious.read_text() == "PRECIOUS"
    assert filed.read_text() == "other"
    assert "metadata-invalid" in Path(f"{filed}.error.txt").read_text()


def test_a_folder_in_the_notes_place_is_passed_by(folders: DropFolders) -> None:
    """Where a folder has the note's name, item and note get other names."""
    (folders.failed / "rep.error.txt").mkdir()
    filed = fail(folders, "rep", "content")
    assert filed.name != "rep"
    assert Path(f"{filed}.error.txt").is_file()
