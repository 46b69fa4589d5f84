"""What stands in out/ is taken when it is whole, in order, and not before."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from adapters.filedrop import open_filedrop, watching
from adapters.spool import Copy, Spool
from schemas.message import Document
from tests.adapters.classic import classic
from tests.adapters.conftest import META, Drop
from tests.adapters.simulator import NodeSimulator


async def test_a_file_that_grows_is_left_alone(drop: Drop) -> None:
    """Nothing is taken before it looked the same for the settling time, however often it is looked at."""
    content = classic({"6111.pdf": os.urandom(5000)})
    path = drop.out / "6111.edxml"
    for now, length in enumerate(range(1000, len(content), 1000)):
        path.write_bytes(content[:length])
        await drop.look(now * 10)
    path.write_bytes(content)
    await drop.look(1000, 1001.9)
    assert drop.node.message_count() == 0
    await drop.look(1002)
    assert drop.node.message_count() == 1


async def test_a_settling_time_of_nothing_still_takes_two_looks(node: NodeSimulator, tmp_path: Path) -> None:
    """One look can never tell that a file is still."""
    adapter = await open_filedrop(node.context(tmp_path / "filedrop", settle_seconds=0))
    drop = Drop(node, adapter, tmp_path / "filedrop")
    (drop.out / "a.edxml").write_bytes(classic({}))
    await drop.look(0)
    assert node.message_count() == 0
    await drop.look(0)
    assert node.message_count() == 1
    await adapter.close()


async def test_a_copy_that_stalls_is_not_taken_for_a_broken_file(drop: Drop) -> None:
    """A file that breaks off waits a minute for its rest; when the rest comes, it is sent."""
    content = classic({"6111.pdf": os.urandom(5000)})
    path = drop.out / "6111.edxml"
    path.write_bytes(content[:3000])
    await drop.look(0, 30, 59)
    path.write_bytes(content)
    await drop.look(60, 62)
    assert drop.node.message_count() == 1
    assert list(drop.failed.iterdir()) == []


async def test_a_file_that_stays_broken_off_is_refused_with_its_line(drop: Drop) -> None:
    """After a minute without change a truncated file is refused, and the reason names the rule and the line."""
    (drop.out / "6111.edxml").write_bytes(classic({"6111.pdf": os.urandom(5000)})[:3000])
    await drop.look(0, 61)
    reason = (drop.failed / "6111.edxml.error.txt").read_text()
    assert "truncated" in reason
    assert "6111.edxml:2" in reason
    assert (drop.failed / "6111.edxml").exists()


@pytest.mark.parametrize("name", [".6111.edxml", "6111.edxml.part", "6111.edxml.tmp", "6111.crdownload", "6111.edxml~"])
async def test_names_of_unfinished_files_are_ignored(drop: Drop, name: str) -> None:
    """What is hidden or bears a name that programs give to a file under way is never touched."""
    (drop.out / name).write_bytes(classic({}))
    await drop.look(0, 100, 1000)
    assert (drop.out / name).exists()
    assert drop.node.message_count() == 0


async def test_a_file_in_utf_16_is_seen_to_be_whole(drop: Drop) -> None:
    """The look at a file's end knows the other encoding that real writers use."""
    text = classic({}).decode().replace('encoding="UTF-8"', 'encoding="UTF-16"')
    (drop.out / "6111.edxml").write_bytes(text.encode("utf-16"))
    await drop.look(0, 2)
    assert drop.node.message_count() == 1


async def test_a_folder_without_metadata_waits_for_as_long_as_it_takes(drop: Drop) -> None:
    """Someone may be filling a folder by hand: it is taken when meta.toml is there, and not refused before."""
    folder = drop.out / "to-trinh"
    folder.mkdir()
    (folder / "thu.pdf").write_bytes(b"%PDF-1.4")
    await drop.look(0, 100, 10_000)
    assert folder.exists()
    (folder / "meta.toml").write_text(META)
    await drop.look(10_001, 10_003)
    assert drop.node.message_count() == 1


async def test_a_folder_with_a_file_under_way_waits(drop: Drop) -> None:
    """A folder in which a download is under way is not sent without it."""
    folder = drop.put_folder(**{"thu.pdf": b"%PDF-1.4", "phu-luc.pdf.part": b"%PD"})
    await drop.look(0, 1000)
    assert drop.node.message_count() == 0
    (folder / "phu-luc.pdf.part").rename(folder / "phu-luc.pdf")
    await drop.look(1001, 1003)
    (submission,) = drop.node.taken.values()
    assert set(drop.node.attachments_of(submission)) == {"thu.pdf", "phu-luc.pdf"}


async def test_litter_of_file_managers_is_not_sent(drop: Drop) -> None:
    """Thumbnails, lock files and editors' copies in a folder are no documents."""
    litter = (".DS_Store", "Thumbs.db", "desktop.ini", "~$thu.docx", ".~lock.thu.docx#", "thu.docx~")
    drop.put_folder(**{"thu.docx": b"PK", **dict.fromkeys(litter, b"x")})
    await drop.look(0, 2)
    (submission,) = drop.node.taken.values()
    assert set(drop.node.attachments_of(submission)) == {"thu.docx"}


async def test_an_item_that_changes_while_it_is_read_is_looked_at_anew(
    drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changed between the look and the end of reading is neither sent nor refused."""
    path = drop.out / "6111.edxml"
    path.write_bytes(classic({}))
    looked = asyncio.Event()
    read = asyncio.to_thread

    async def change_first(function: object, *arguments: object) -> object:
        if getattr(function, "__name__", "") == "read_item" and not looked.is_set():
            looked.set()
            path.write_bytes(b"<edXML>")
        return await read(function, *arguments)  # type: ignore[arg-type] # whatever the adapter runs in a thread

    monkeypatch.setattr("adapters.filedrop.sending.asyncio.to_thread", change_first)
    await drop.look(0, 2)
    assert looked.is_set()
    assert path.exists()
    assert list(drop.failed.iterdir()) == []
    assert drop.node.message_count() == 0


async def test_a_document_added_while_its_folder_is_read_is_not_left_behind(
    drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that gets another document during the reading is not sent without it."""
    folder = drop.put_folder()
    copy = Spool.copy

    def copy_and_add(spool: Spool, source: BinaryIO, *, limit: int) -> Copy:
        copied = copy(spool, source, limit=limit)
        (folder / "phu-luc.pdf").write_bytes(b"%PDF-1.4")
        return copied

    with monkeypatch.context() as patched:
        patched.setattr(Spool, "copy", copy_and_add)
        await drop.look(0, 2)
    assert drop.node.message_count() == 0
    await drop.look(3, 5)
    (submission,) = drop.node.taken.values()
    assert set(drop.node.attachments_of(submission)) == {"thu.pdf", "phu-luc.pdf"}


async def test_items_go_in_the_order_of_their_last_change(drop: Drop) -> None:
    """A recall dropped after its document is submitted after it, whatever their names."""
    for place in (3, 6, 1, 0, 7, 2, 5, 4):
        path = drop.out / f"{(place * 5) % 8}.edxml"
        path.write_bytes(classic({}, document_id=f"G22,2026/11/02,{place}/VPCP"))
        os.utime(path, ns=(place * 10**9, place * 10**9))
    await drop.look(0, 2)
    numbers = [sent.message.document_id for sent in drop.node.taken.values() if isinstance(sent.message, Document)]
    assert numbers == [f"G22,2026/11/02,{place}/VPCP" for place in range(8)]


async def test_an_unknown_kind_of_file_is_explained(drop: Drop) -> None:
    """A document dropped bare into out/ is refused with what to do, not ignored for ever."""
    (drop.out / "thu.pdf").write_bytes(b"%PDF-1.4")
    await drop.look(0, 59)
    assert (drop.out / "thu.pdf").exists()
    await drop.look(61)
    assert "meta.toml" in (drop.failed / "thu.pdf.error.txt").read_text()


async def test_many_items_cost_one_listing_and_one_reading_each(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look lists out/ once, however many items it has, and the end of a file that waits is read once in all."""
    for number in range(50):
        (drop.out / f"{number}.edxml").write_bytes(classic({})[:-9] + f"<!-- {number} -->".encode())
    listings: list[str] = []
    ends: list[str] = []
    scandir, open_end = os.scandir, watching.open_regular

    def count_listing(path: str) -> object:
        listings.append(str(path))
        return scandir(path)

    def count_end(path: Path) -> object:
        ends.append(path.name)
        return open_end(path)

    monkeypatch.setattr(watching.os, "scandir", count_listing)
    monkeypatch.setattr(watching, "open_regular", count_end)
    await drop.look(0, 2, 4, 6)
    assert listings == [str(drop.out)] * 4
    assert sorted(ends) == sorted(f"{number}.edxml" for number in range(50))
