"""A drop on a network share: listings out of date, handles gone stale, answers lost, clocks that differ."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.filedrop import open_filedrop
from adapters.sdk import Accepted, Later
from schemas.errors import CongvanError
from schemas.message import Document
from tests.adapters.classic import classic
from tests.adapters.conftest import Drop, until, until_well
from tests.adapters.share import Share
from tests.adapters.simulator import NodeSimulator
from tests.adapters.test_filedrop_in import FILES, delivery_of


@pytest.fixture
def share(drop: Drop) -> Iterator[Share]:
    """The drop, open already, on a share from now on."""
    with pytest.MonkeyPatch.context() as patch:
        yield Share(patch)


def put(drop: Drop, name: str) -> Path:
    path = drop.out / name
    path.write_bytes(classic({}, document_id=f"G22,2026/11/02,{name}"))
    return path


def sent(drop: Drop) -> list[str]:
    """The names of what was sent, in the order of sending."""
    documents = [one.message for one in drop.node.taken.values() if isinstance(one.message, Document)]
    return [document.document_id.rpartition(",")[2] for document in documents]


@pytest.mark.parametrize("error", [errno.ESTALE, errno.EIO, errno.EBUSY, errno.ETIMEDOUT])
@pytest.mark.parametrize("call", ["entry.stat", "open"])
async def test_an_error_about_one_item_delays_that_item_alone(drop: Drop, share: Share, call: str, error: int) -> None:
    """What a share cannot tell about one item neither stops the others nor refuses that one."""
    put(drop, "a.edxml")
    put(drop, "b.edxml")
    fault = share.fail(call, "a.edxml", error, times=3)
    await drop.look(0, 2, 4)
    assert fault.met > 0
    assert "b.edxml" in sent(drop)
    await drop.look(1000, 1002, 1004, 2000)
    assert sorted(sent(drop)) == ["a.edxml", "b.edxml"]
    assert list(drop.failed.iterdir()) == []


async def test_an_item_whose_handle_went_stale_while_read_is_looked_at_anew(drop: Drop, share: Share) -> None:
    """ESTALE says that the file is another one now: nothing is refused, and nobody is told of a trouble."""
    put(drop, "a.edxml")
    await drop.look(0)
    # The first opening reads its end, the second one reads it whole.
    share.fail("open", "a.edxml", errno.ESTALE, times=2)
    await drop.look(2, 3)
    assert (await drop.adapter.health()).ok
    await drop.look(4)
    assert sent(drop) == ["a.edxml"]


async def test_a_share_that_is_away_is_told_and_comes_back(drop: Drop, share: Share) -> None:
    """out/ that cannot be listed at all is an error of the share, after which all goes on where it was."""
    put(drop, "a.edxml")
    await drop.look(0)
    share.fail("scandir", "/out", errno.EHOSTDOWN)
    with pytest.raises(CongvanError):
        await drop.look(1)
    await drop.look(2)
    assert sent(drop) == ["a.edxml"]


async def test_a_share_that_is_away_at_the_start_is_waited_for(node: NodeSimulator, tmp_path: Path) -> None:
    """The adapter starts unwell, puts off what comes, and goes on both ways once the share is there."""
    mounted, away = tmp_path / "share", tmp_path / "away"
    # A link that leads nowhere, as an automounter's whose server does not answer.
    mounted.symlink_to(away)
    settings = {"folder": str(mounted / "drop"), "poll_seconds": 0.01, "settle_seconds": 0.01}
    adapter = await open_filedrop(node.context(tmp_path / "filedrop", **settings))
    health = await adapter.health()
    assert (health.ok, str(mounted) in health.detail) == (False, True)
    drop = Drop(node, adapter, mounted / "drop")
    delivery = delivery_of(drop, FILES)
    assert isinstance(await adapter.deliver(delivery), Later)
    stop = asyncio.Event()
    running = asyncio.create_task(adapter.run(stop))
    away.mkdir()
    await until(drop.failed.is_dir)
    put(drop, "a.edxml")
    await until(lambda: node.message_count() == 1)
    assert await adapter.deliver(delivery) == Accepted()
    await until_well(adapter)
    stop.set()
    await running
    await adapter.close()


@pytest.mark.parametrize("error", [errno.ENOENT, errno.EIO, errno.ESTALE])
async def test_a_rename_that_was_done_and_answered_an_error_is_done(drop: Drop, share: Share, error: int) -> None:
    """A server asked twice answers the second time: the item is sent once, and filed once."""
    put(drop, "a.edxml")
    fault = share.fail("rename", "out/a.edxml", error, done=True)
    await drop.look(0, 2, 4, 100)
    assert fault.met == 1
    assert drop.node.message_count() == 1
    assert sorted(path.name for path in drop.sent.iterdir()) == ["a.edxml", "a.edxml.receipt.json"]
    assert (await drop.adapter.health()).ok


async def test_a_rename_that_failed_is_made_again(drop: Drop, share: Share) -> None:
    """The item that could not be put away is no second message when it can be."""
    put(drop, "a.edxml")
    share.fail("rename", "out/a.edxml", errno.EIO)
    await drop.look(0, 2)
    assert not (await drop.adapter.health()).ok
    await drop.look(100, 200)
    assert drop.node.message_count() == 1
    assert sorted(path.name for path in drop.sent.iterdir()) == ["a.edxml", "a.edxml.receipt.json"]


@pytest.mark.parametrize("done", [True, False])
async def test_a_message_is_shown_once_whatever_the_rename_answers(drop: Drop, share: Share, done: bool) -> None:
    """Shown with an error in answer, or not shown yet: in the end it stands in in/ once, whole."""
    delivery = delivery_of(drop, FILES)
    share.fail("rename", f".tmp-{delivery.key}", errno.EIO, done=done)
    try:
        await drop.adapter.deliver(delivery)
    except CongvanError:
        assert not done
    assert await drop.adapter.deliver(delivery) == Accepted()
    [folder] = drop.incoming.iterdir()
    assert (folder.name, len(list((folder / "attachments").iterdir()))) == (str(delivery.key), len(FILES))


async def test_a_message_taken_away_before_the_lost_answer_does_not_come_back(drop: Drop, share: Share) -> None:
    """The server renames, its answer is lost, a clerk takes the folder: the next try shows nothing a second time."""
    delivery = delivery_of(drop, FILES)
    # The first sync of in/ is of what is staged, the second of what is shown.
    share.fail("fsync", "/in", errno.EIO, passed=1)
    with pytest.raises(CongvanError):
        await drop.adapter.deliver(delivery)
    [folder] = drop.incoming.glob("[!.]*")
    folder.rename(drop.root / "taken")
    assert await drop.adapter.deliver(delivery) == Accepted()
    assert list(drop.incoming.iterdir()) == []


@pytest.mark.parametrize(
    ("call", "error"), [("fchmod", errno.EPERM), ("chmod", errno.ENOTSUP), ("fsync", errno.EINVAL)]
)
async def test_a_share_without_modes_or_syncs_of_folders_is_one_as_well(
    drop: Drop, share: Share, call: str, error: int
) -> None:
    """CIFS gives no modes, some file systems sync no folder: messages go both ways all the same."""
    # Of syncs only those of folders: a file that cannot be synced is an error everywhere.
    folders = ("/in", "/out", "/sent", "2026-11-20", "-H23", "/attachments")
    for path in folders if call == "fsync" else ("",):
        share.fail(call, path, error, times=100)
    put(drop, "a.edxml")
    await drop.look(0, 2)
    assert sent(drop) == ["a.edxml"]
    assert await drop.adapter.deliver(delivery_of(drop, FILES)) == Accepted()
    assert sum(fault.met for fault in share.faults) > 0


async def test_an_item_that_a_listing_left_out_keeps_its_place(drop: Drop, share: Share) -> None:
    """A stale listing without the document does not let the recall that came after it go first."""
    document = put(drop, "b.edxml")
    await drop.look(0)
    put(drop, "a.edxml")
    hidden = drop.root / "b.edxml"
    document.rename(hidden)
    await drop.look(1)
    hidden.rename(document)
    await drop.look(4)
    assert sent(drop) == ["b.edxml", "a.edxml"]


async def test_what_was_seen_first_goes_first_whatever_the_clocks_say(drop: Drop) -> None:
    """Writers whose clocks differ, and clocks of whole seconds: the order is that in which the node saw the changes."""
    first, second = put(drop, "b.edxml"), drop.out / "a.edxml"
    os.utime(first, (2_000_000_000, 2_000_000_000))
    await drop.look(0)
    put(drop, second.name)
    os.utime(second, (1_000_000_000, 1_000_000_000))
    await drop.look(1, 4)
    assert sent(drop) == ["b.edxml", "a.edxml"]


async def test_a_folder_that_fills_within_one_tick_of_the_server_s_clock_is_seen(drop: Drop) -> None:
    """Metadata that comes without changing the folder's time is found by a later listing."""
    folder = drop.put_folder()
    metadata = (folder / "meta.toml").read_text()
    (folder / "meta.toml").unlink()
    facts = folder.stat()
    await drop.look(0, 1)
    (folder / "meta.toml").write_text(metadata)
    os.utime(folder, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    await drop.look(40, 45)
    assert drop.node.message_count() == 1


async def test_folders_that_wait_for_their_metadata_are_not_listed_again_and_again(drop: Drop, share: Share) -> None:
    """A look at many folders without metadata is one listing: over a network each more would be a round trip."""
    for number in range(20):
        (drop.out / f"{number}").mkdir()
    await drop.look(0)
    before = share.count("scandir")
    await drop.look(1, 2, 3)
    assert share.count("scandir") == before + 3


async def test_in_may_lie_on_another_file_system_than_out(node: NodeSimulator, tmp_path: Path) -> None:
    """in/ on a file system of its own: nothing is renamed across, and a message is shown whole."""
    other = Path("/dev/shm") / f"congvan-share-{os.getpid()}"
    assert other.parent.stat().st_dev != tmp_path.stat().st_dev, "this test needs a second file system at /dev/shm"
    other.mkdir()
    try:
        root = tmp_path / "filedrop"
        root.mkdir()
        (root / "in").symlink_to(other)
        adapter = await open_filedrop(node.context(root))
        drop = Drop(node, adapter, root)
        delivery = delivery_of(drop, FILES)
        assert await adapter.deliver(delivery) == Accepted()
        assert (other / str(delivery.key) / "document.edxml").exists()
        await adapter.close()
    finally:
        for path in sorted(other.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        other.rmdir()
