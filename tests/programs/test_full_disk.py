"""A full disk on any side: a clear error, nothing half-written, and the way goes on by itself once there is space."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from node.foundation import open_foundation
from node.settings import NodeFolder
from node.store.states import OutboxState
from tests.programs import exchange

MIB = 1024 * 1024
CONTENT = b"%PDF-" + bytes(2 * MIB)

#: Retries at once rather than after a minute, and nothing held in reserve: what fails here is the disk itself.
QUICK = {
    "CONGVAN_NODE__EXCHANGE__RECEIVER__RESERVE_BYTES": "0",
    "CONGVAN_HUB__EXCHANGE__SUBMISSIONS__SPARE_BYTES": "65536",
    "CONGVAN_HUB__EXCHANGE__MAILBOX__RELEASE__FIRST_SECONDS": "1",
    "CONGVAN_HUB__EXCHANGE__MAILBOX__RELEASE__LONGEST_SECONDS": "2",
}


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A disk of `size` bytes at `folder`."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """Take all the space of the disk at `folder`; gives the file that holds it."""
    filler = folder / "filler"
    free = os.statvfs(folder)
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for _ in range(free.f_bavail):
            file.write(bytes(free.f_frsize))
    return filler


async def waits_for(site: exchange.Site, code: str) -> bool:
    """Whether G22's newest message waits because of `code`."""
    async with open_foundation(NodeFolder(site.node_folder("G22"))) as node:
        rows = await node.queries.outbox(waiting=True)
    return bool(rows) and rows[0].trouble is not None and rows[0].trouble.code == code


@pytest.mark.programs
@pytest.mark.privileged
@pytest.mark.timeout(300)
async def test_a_full_hub_makes_the_outbox_wait(tmp_path: Path) -> None:
    """While the hub's disk is full a document waits with `storage-full`; with space again it arrives, once."""
    site = exchange.site(tmp_path)
    site.environment |= QUICK
    with small_disk(site.hub_folder, 16 * MIB):
        await site.set_up()
        try:
            await start_nodes(site)
            filler = fill(site.hub_folder)
            exchange.drop(site, 0, content=CONTENT)
            await exchange.until(lambda: waits_for(site, "storage-full"), "the outbox to say why it waits")
            assert site.hub.is_running
            assert await exchange.subjects(site, "H23") == []
            filler.unlink()
            (story,) = await exchange.settled(site, 1)
            assert story.outbox is not None
            assert story.outbox.state is OutboxState.ACCEPTED
            assert await exchange.subjects(site, "H23") == ["Văn bản số 0"]
        finally:
            await site.stop()


@pytest.mark.programs
@pytest.mark.privileged
@pytest.mark.timeout(300)
async def test_a_full_recipient_gets_it_later(tmp_path: Path) -> None:
    """A recipient whose disk is full hands the delivery back; with space again it arrives, once."""
    site = exchange.site(tmp_path)
    site.environment |= QUICK
    with small_disk(site.node_folder("H23"), 16 * MIB):
        await site.set_up()
        try:
            await start_nodes(site)
            filler = fill(site.node_folder("H23"))
            exchange.drop(site, 0, content=CONTENT)
            await exchange.until(lambda: log_says(site, "node-H23", "storage-full"), "the recipient to hand it back")
            assert await exchange.subjects(site, "H23") == []
            filler.unlink()
            await exchange.settled(site, 1)
            assert await exchange.subjects(site, "H23") == ["Văn bản số 0"]
        finally:
            await site.stop()


@pytest.mark.programs
@pytest.mark.privileged
@pytest.mark.timeout(300)
async def test_a_full_sender_leaves_the_drop_where_it_is(tmp_path: Path) -> None:
    """A sender whose disk is full leaves what was dropped in out/; with space again it is sent, once."""
    site = exchange.site(tmp_path)
    site.environment |= QUICK
    with small_disk(site.node_folder("G22"), 16 * MIB):
        await site.set_up()
        try:
            await start_nodes(site)
            exchange.drop(site, 0, content=CONTENT)
            filler = fill(site.node_folder("G22"))
            await exchange.until(lambda: log_says(site, "node-G22", "storage-full"), "the sender to say why it waits")
            assert (site.node_folder("G22") / "filedrop/out/document-0").is_dir()
            assert site.nodes["G22"].is_running
            filler.unlink()
            await exchange.settled(site, 1)
            assert await exchange.subjects(site, "H23") == ["Văn bản số 0"]
        finally:
            await site.stop()


async def start_nodes(site: exchange.Site) -> None:
    """Start the nodes and wait until they are up: a node cannot begin on a full disk, and says so."""
    await site.start_nodes()
    for name in ("node-G22", "node-H23"):
        await exchange.until(partial(log_says, site, name, "node.ready"), f"{name} to be up")


async def log_says(site: exchange.Site, name: str, words: str) -> bool:
    return words in (site.folder / f"{name}.log").read_text()
