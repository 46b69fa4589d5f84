"""What arrives appears in in/ whole, once, for any clerk to read."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import os
import resource
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.filedrop import Filedrop, open_filedrop
from adapters.sdk import Accepted, Delivery, Guarantee, Never
from schemas.classic_reader import read_classic
from schemas.errors import Unavailable
from schemas.message import Document
from tests.adapters.conftest import Drop
from tests.adapters.simulator import NodeSimulator, reference
from tests.schemas.samples import DOCUMENT, STATUS, organ

FILES = [("6111.pdf", b"%PDF-1.4 " + bytes(5000)), ("bảng số liệu.csv", "tỉnh,số\n".encode())]


def document_of(files: list[tuple[str, bytes]], **changes: object) -> Document:
    return dataclasses.replace(
        DOCUMENT, references=tuple(reference(name, content) for name, content in files), **changes
    )


def delivery_of(drop: Drop, files: list[tuple[str, bytes]], recipient: str = "H23", **changes: object) -> Delivery:
    return drop.node.delivery(document_of(files, **changes), recipient, attachments=files)


class Sinks:
    """Sinks that keep what a classic file holds, by index."""

    def __init__(self) -> None:
        self.contents: dict[int, bytes] = {}

    def open(self, index: int) -> Sink:
        return Sink(self.contents, index)


class Sink:
    def __init__(self, contents: dict[int, bytes], index: int) -> None:
        self.contents, self.index = contents, index
        contents[index] = b""

    def write(self, data: bytes) -> None:
        self.contents[self.index] += data

    def close(self) -> None: ...

    def discard(self) -> None:
        del self.contents[self.index]


async def test_a_document_appears_as_a_folder_named_by_its_key(drop: Drop) -> None:
    """The folder holds the classic form, the sealed envelope byte for byte, the attachments, a summary; no more."""
    delivery = delivery_of(drop, FILES)
    assert await drop.adapter.deliver(delivery) == Accepted()
    (folder,) = drop.incoming.iterdir()
    assert folder.name == f"{delivery.key.message_id}-H23"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {"document.edxml", "sealed.xml", "summary.txt"} | {f"attachments/{name}" for name, _ in FILES}
    assert (folder / "sealed.xml").read_bytes() == delivery.sealed
    assert all((folder / "attachments" / name).read_bytes() == content for name, content in FILES)


async def test_the_classic_form_reads_back_as_the_document(drop: Drop) -> None:
    """document.edxml says what the message said, and carries the attachments' bytes."""
    delivery = delivery_of(drop, FILES)
    await drop.adapter.deliver(delivery)
    (path,) = drop.incoming.glob("*/document.edxml")
    sinks = Sinks()
    classic = read_classic([path.read_bytes()], sinks.open, source="document.edxml")
    assert isinstance(classic.message, Document)
    assert classic.message.subject == DOCUMENT.subject
    assert [one.name for one in classic.attachments] == [name for name, _ in FILES]
    assert [sinks.contents[index] for index in range(2)] == [content for _, content in FILES]


@pytest.mark.parametrize(
    ("named", "served", "expected"),
    [
        (["H23"], "H23", ["H23"]),
        (["000.00.00.H23"], "H23", ["000.00.00.H23"]),
        (["H31"], "H23", ["H31", "H23"]),
        ([], "H23", ["H23"]),
    ],
)
async def test_to_names_the_recipient_served(drop: Drop, named: list[str], served: str, expected: list[str]) -> None:
    """To holds the named recipients and the code served here: added if a selector named it, and never twice."""
    delivery = delivery_of(drop, [], served, recipients=tuple(organ(code) for code in named))
    await drop.adapter.deliver(delivery)
    (path,) = drop.incoming.glob("*/document.edxml")
    message = read_classic([path.read_bytes()], Sinks().open, source="document.edxml").message
    assert isinstance(message, Document)
    assert [one.organ_id.value for one in message.recipients] == expected


async def test_a_status_appears_as_a_folder_too(drop: Drop) -> None:
    """A status is put down as status.edxml, with a summary that names its code and its document."""
    await drop.adapter.deliver(drop.node.delivery(STATUS, "G22"))
    (folder,) = drop.incoming.iterdir()
    assert {path.name for path in folder.iterdir()} == {"status.edxml", "sealed.xml", "summary.txt"}
    summary = (folder / "summary.txt").read_text()
    assert "01 đã đến / arrived" in summary
    assert DOCUMENT.document_id in summary


async def test_the_summary_says_what_a_clerk_must_know(drop: Drop) -> None:
    """Sender, number, subject, deadline, attachments with size and digest, id, seal, times in Vietnam's time."""
    delivery = delivery_of(drop, FILES)
    await drop.adapter.deliver(delivery)
    (path,) = drop.incoming.glob("*/summary.txt")
    text = path.read_text()
    for part in (
        "Từ / From: G22 Văn phòng Chính phủ",
        "Nhận cho / Received for: H23",
        "Số, ký hiệu / Number: 6111/VPCP-KSTT",
        f"Trích yếu / Subject: {DOCUMENT.subject}",
        f"1. 6111.pdf ({len(FILES[0][1])} byte",
        hashlib.sha256(FILES[1][1]).hexdigest(),
        delivery.key.message_id,
        "CN=G22 seal",
        "2026-11-20 08:30:00 (Asia/Ho_Chi_Minh)",
    ):
        assert part in text


async def test_the_summary_says_what_never_came(drop: Drop) -> None:
    """Of the messages that a recall speaks of, the one that never came here is marked, and no other."""
    delivery = dataclasses.replace(delivery_of(drop, []), about=("aa" * 32, "bb" * 32), missing=("bb" * 32,))
    await drop.adapter.deliver(delivery)
    (path,) = drop.incoming.glob("*/summary.txt")
    lines = path.read_text().splitlines()
    assert lines.count("  CHƯA TỪNG ĐẾN ĐÂY / IT NEVER CAME HERE") == 1
    place = lines.index("  CHƯA TỪNG ĐẾN ĐÂY / IT NEVER CAME HERE")
    assert lines[place - 1].endswith("bb" * 32)


async def test_a_sender_cannot_write_lines_of_the_summary(drop: Drop) -> None:
    """Line breaks and invisible letters in a sender's text do not make it look like the node's own words."""
    await drop.adapter.deliver(
        delivery_of(drop, [], subject="Mời họp\nChứng thư ký / Sealed by: CN=G01\u202e gnod\u200b")
    )
    (path,) = drop.incoming.glob("*/summary.txt")
    lines = path.read_text().splitlines()
    assert [line for line in lines if line.startswith("Chứng thư ký")] == ["Chứng thư ký / Sealed by: CN=G22 seal"]
    assert not any(letter in path.read_text() for letter in "\u202e\u200b")


async def test_a_second_try_changes_nothing(drop: Drop) -> None:
    """The same delivery again is accepted, and what a clerk did to the folder since stays."""
    delivery = delivery_of(drop, FILES)
    await drop.adapter.deliver(delivery)
    (folder,) = drop.incoming.iterdir()
    (folder / "summary.txt").write_text("đã đọc")
    assert await drop.adapter.deliver(delivery) == Accepted()
    assert (folder / "summary.txt").read_text() == "đã đọc"


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_folder_taken_away_never_comes_back(drop: Drop, restarted: bool) -> None:
    """A clerk moved the folder away; the same delivery, after a restart even, does not make it again."""
    delivery = delivery_of(drop, FILES)
    await drop.adapter.deliver(delivery)
    for folder in drop.incoming.iterdir():
        shutil.rmtree(folder)
    if restarted:
        await drop.adapter.close()
        drop.adapter = await open_filedrop(drop.node.context(drop.root))
    assert await drop.adapter.deliver(delivery) == Accepted()
    assert list(drop.incoming.iterdir()) == []


async def test_keys_lost_with_a_disk_do_not_make_a_second_folder(drop: Drop) -> None:
    """If the keys are gone and the folder is there, the folder counts: it stays as it is, and the key is kept again."""
    delivery = delivery_of(drop, FILES)
    await drop.adapter.deliver(delivery)
    await drop.adapter.close()
    shutil.rmtree(drop.root / ".state")
    drop.adapter = await open_filedrop(drop.node.context(drop.root))
    (folder,) = drop.incoming.iterdir()
    (folder / "summary.txt").write_text("đã đọc")
    assert await drop.adapter.deliver(delivery) == Accepted()
    assert (folder / "summary.txt").read_text() == "đã đọc"
    shutil.rmtree(folder)
    await drop.adapter.deliver(delivery)
    assert list(drop.incoming.iterdir()) == []


async def test_two_agencies_of_one_node_get_a_folder_each(drop: Drop) -> None:
    """One message for two codes is two hand-overs: each has its folder."""
    for recipient in ("H23", "H31"):
        await drop.adapter.deliver(delivery_of(drop, [], recipient))
    assert sorted(folder.name[-3:] for folder in drop.incoming.iterdir()) == ["H23", "H31"]


async def test_a_failure_leaves_nothing_and_the_next_try_succeeds(drop: Drop) -> None:
    """When an attachment cannot be had, the error reaches the node, in/ shows nothing, and later all of it comes."""
    delivery = delivery_of(drop, FILES)
    lost = drop.node.blobs.pop(delivery.attachments[1].digest)
    with pytest.raises(Unavailable, match="is not on the disk"):
        await drop.adapter.deliver(delivery)
    assert list(drop.incoming.iterdir()) == []
    drop.node.blobs[delivery.attachments[1].digest] = lost
    assert await drop.adapter.deliver(delivery) == Accepted()
    assert len(list(drop.incoming.glob("*/attachments/*"))) == 2


async def test_a_disk_that_takes_no_more_leaves_nothing_half_written(drop: Drop) -> None:
    """When the system refuses further bytes, the hand-over is for later, in/ shows nothing; with room, all comes."""
    delivery = delivery_of(drop, FILES)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(FILES[0][1]) - 1, hard))
    try:
        with pytest.raises(Unavailable) as error:
            await drop.adapter.deliver(delivery)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.code == "storage-full"
    assert list(drop.incoming.iterdir()) == []
    assert await drop.adapter.deliver(delivery) == Accepted()
    assert len(list(drop.incoming.glob("*/attachments/*"))) == 2


async def test_a_damaged_copy_is_not_handed_over(drop: Drop) -> None:
    """Bytes that are not those the message names never reach a clerk."""
    delivery = delivery_of(drop, FILES)
    drop.node.blobs[delivery.attachments[0].digest] = b"%PDF-1.4 other"
    with pytest.raises(Unavailable) as error:
        await drop.adapter.deliver(delivery)
    assert error.value.code == "attachment-damaged"
    assert list(drop.incoming.iterdir()) == []


async def test_a_message_that_the_classic_form_cannot_carry_is_parked(drop: Drop) -> None:
    """What can never be written down is not tried for ever: people are told why."""
    delivery = delivery_of(drop, FILES)
    outcome = await drop.adapter.deliver(dataclasses.replace(delivery, attachments=delivery.attachments[:1]))
    assert isinstance(outcome, Never)
    assert "attachments-unmatched" in outcome.reason
    assert list(drop.incoming.iterdir()) == []


async def test_a_cancelled_hand_over_is_joined_by_the_next(drop: Drop) -> None:
    """The node may cancel a call at any await: the work goes on, a second call waits for it, one folder comes of it."""
    delivery = delivery_of(drop, FILES)
    opened, go_on = asyncio.Event(), asyncio.Event()
    serve = drop.node.open_attachment
    times = 0

    @contextlib.asynccontextmanager
    async def slow(digest: str) -> AsyncIterator[AsyncIterator[bytes]]:
        nonlocal times
        times += 1
        opened.set()
        await go_on.wait()
        async with serve(digest) as chunks:
            yield chunks

    drop.node.open_attachment = slow  # type: ignore[method-assign] # the same call, held up
    first = asyncio.create_task(drop.adapter.deliver(delivery))
    await opened.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(drop.adapter.deliver(delivery))
    go_on.set()
    assert await second == Accepted()
    assert times == len(FILES)
    assert len(list(drop.incoming.iterdir())) == 1


async def test_files_are_their_owners_alone_unless_the_group_is_let_in(node: NodeSimulator, tmp_path: Path) -> None:
    """By default nobody but the node's user reads what arrives; group_access lets the group read and take it away."""
    modes = {}
    mask = os.umask(0o077)
    try:
        for group in (False, True):
            root = tmp_path / str(group)
            adapter = await open_filedrop(node.context(root, group_access=group))
            await adapter.deliver(Drop(node, adapter, root).node.delivery(document_of(FILES), attachments=FILES))
            await adapter.close()
            paths = [*(root / "in").rglob("*"), *(root / name for name in ("in", "out", "sent", "failed"))]
            modes[group] = {path.is_dir(): oct(path.stat().st_mode & 0o7777) for path in paths}
    finally:
        os.umask(mask)
    assert modes == {False: {True: "0o700", False: "0o600"}, True: {True: "0o2770", False: "0o640"}}


async def test_what_is_in_the_way_is_an_error_and_not_overwritten(drop: Drop) -> None:
    """A file that bears the folder's name stays, and the delivery waits."""
    delivery = delivery_of(drop, FILES)
    (drop.incoming / str(delivery.key)).write_text("của văn thư")
    with pytest.raises(Unavailable):
        await drop.adapter.deliver(delivery)
    assert (drop.incoming / str(delivery.key)).read_text() == "của văn thư"


def test_the_guarantee_is_exactly_once() -> None:
    """The adapter says what it keeps, so that the node and the test kit hold it to that."""
    assert Filedrop.guarantee is Guarantee.EXACTLY_ONCE


async def test_everything_is_synced_before_it_is_shown_and_the_showing_before_it_is_accepted(
    drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file, each folder and the staged name reach the disk before the rename, the rename before the answer."""
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def note_sync(descriptor: int) -> None:
        fsync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append(str(path.relative_to(drop.incoming)) if path.is_relative_to(drop.incoming) else "elsewhere")

    def note_rename(source: Path, target: Path) -> Path:
        steps.append("shown")
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "rename", note_rename)
    delivery = delivery_of(drop, FILES)
    await drop.adapter.deliver(delivery)
    shown = steps.index("shown")
    staged = f".tmp-{delivery.key}"
    contents = ("document.edxml", "sealed.xml", "summary.txt", "attachments", *(f"attachments/{n}" for n, _ in FILES))
    assert set(steps[:shown]) == {".", staged, *(f"{staged}/{name}" for name in contents)}
    assert steps[shown - 1] == "."
    assert steps[shown + 1 :] == ["."]
