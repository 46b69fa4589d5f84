"""Attachments on their way: shown while they move, promised the room that they take, gone when they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from node.store import transfers
from node.store.records import TransferRow
from node.store.states import Direction, OutboxState
from node.usecases.transfers import Journey, Transfers
from schemas.errors import Unavailable
from tests.node.core.asking import arrives, becomes, has_trouble, outbox_row
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, eventually
from tests.node.core.world import G22, H23, World, digest_of, document, envelope

LARGE = bytes(range(256)) * 2000


async def _moving(node: Node) -> tuple[TransferRow, ...]:
    return (await node.queries.status()).transfers


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _book(node: Node) -> Transfers:
    return Transfers(node.database, node.blobs, node.clock, reserve=0)


async def test_a_download_is_shown_while_it_moves_and_gone_when_it_ended(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """The status names the message, the bytes and the direction; when all is here it names nothing."""
    hub.faults.hold_blobs = {digest_of(LARGE)}
    sealed = world.sealed(envelope(document(G22, H23), LARGE))
    hub.deliver(sealed.data, [H23], [LARGE], inline=False)
    async with node.running("receiver"):
        await eventually(lambda: len(hub.blob_reads) == 1)
        (shown,) = await _moving(node)
        assert (shown.direction, shown.message_id, shown.digest) == (
            Direction.DOWNLOAD,
            sealed.message_id,
            digest_of(LARGE),
        )
        assert (shown.position, shown.size, shown.percent) == (0, len(LARGE), 0)
        hub.faults.hold_blobs = set()
        await arrives(node, sealed.message_id)
        assert await _moving(node) == ()


async def test_an_upload_is_shown_beside_its_message(node: Node, hub: HubSimulator, tmp_path: Path) -> None:
    """The outbox says of a message how far its attachment is; of a message that has none on its way, nothing."""
    path = tmp_path / "lớn.bin"
    path.write_bytes(LARGE)
    message_id, other = await node.submit(document(), path), await node.submit(document(), key="2")
    async with _book(node).under_way(
        Journey(Direction.UPLOAD, len(LARGE), 1000, message_id, digest_of(LARGE))
    ) as moving:
        counted = moving.counted(_pieces(b"x" * 500, b"y" * 500, b"z"), start=1000)
        await anext(counted)
        node.clock.ahead = timedelta(seconds=2)
        await anext(counted)
        (row,) = (await outbox_row(node, message_id)).transfers
        assert (row.position, row.size, row.percent) == (1500, len(LARGE), 0)
        assert 0 < row.bytes_per_second <= 250
        assert (await outbox_row(node, other)).transfers == ()
        await counted.aclose()
    assert (await outbox_row(node, message_id)).transfers == ()


async def test_transfers_at_once_are_promised_no_more_than_there_is(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second transfer that would fit alone is refused while the first holds its room; uploads take none."""
    monkeypatch.setattr(node.blobs, "free_bytes", lambda: 1500)
    book = _book(node)
    async with book.under_way(Journey(Direction.DOWNLOAD, 1000)):
        with pytest.raises(Unavailable) as caught:
            async with book.under_way(Journey(Direction.COPY, 501)):
                pass
        assert caught.value.code == "storage-full"
        async with book.under_way(Journey(Direction.COPY, 500)), book.under_way(Journey(Direction.UPLOAD, 10**9)):
            assert len(await _moving(node)) == 3
    async with book.under_way(Journey(Direction.COPY, 1500)):
        pass
    assert await _moving(node) == ()


async def test_what_a_dead_process_held_is_forgotten(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that died in the middle of a transfer holds its room for minutes; then it is neither shown nor kept."""
    monkeypatch.setattr(node.blobs, "free_bytes", lambda: 1000)
    dead = _book(node).under_way(Journey(Direction.DOWNLOAD, 1000))
    await dead.__aenter__()
    node.clock.ahead = timedelta(minutes=5)
    assert await _moving(node) == ()
    async with _book(node).under_way(Journey(Direction.DOWNLOAD, 1000)):
        assert await node.database.read(lambda t: transfers.to_come(t, at=node.clock())) == 1000
        assert len(await _moving(node)) == 1
    await dead.__aexit__(None, None, None)


async def test_no_copy_is_begun_that_the_disk_has_no_room_for(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that would not fit is refused before its first byte, and nothing of it stays."""
    path = tmp_path / "lớn.bin"
    path.write_bytes(LARGE)
    monkeypatch.setattr(node.blobs, "free_bytes", lambda: len(LARGE) - 1)
    with pytest.raises(Unavailable) as caught:
        await node.submit(document(), path)
    assert caught.value.code == "storage-full"
    assert [name async for name in node.blobs.untouched_uploads(node.clock() + timedelta(days=1))] == []
    assert await _moving(node) == ()


async def test_a_hub_without_room_for_one_document_keeps_no_other_waiting(
    node: Node, hub: HubSimulator, tmp_path: Path
) -> None:
    """The message whose attachments find no room at the hub rests; the others go on, large ones too."""
    path = tmp_path / "lớn.bin"
    path.write_bytes(LARGE)
    unlucky = await node.submit(document(), path)
    hub.faults.refuse = lambda name: Unavailable("storage-full", "No room.") if name == unlucky else None
    async with node.running("sender"):
        await has_trouble(node, unlucky, "storage-full")
        others = await asyncio.gather(
            node.submit(document(), key="short"), node.submit(document(), path, key="long", content="2")
        )
        for name in others:
            await becomes(node, name, OutboxState.ACCEPTED)
