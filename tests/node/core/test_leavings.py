"""What came to nothing is cleared away; what a message needs, or is about to need, never is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

from node.store.states import HandoverState
from node.usecases.leavings import Leavings
from tests.node.core.asking import handed
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, eventually
from tests.node.core.world import G22, H23, World, digest_of, document, envelope
from transport.wire import OutcomeKind

LONG = bytes(100_000)


async def bytes_of(count: int) -> AsyncIterator[bytes]:
    yield bytes(count)


async def test_only_what_is_old_and_named_by_nobody_is_dropped(
    node: Node, hub: HubSimulator, world: World, tmp_path: Path
) -> None:
    """Blobs without a message go after a day, broken-off transfers after a week; attachments of messages stay."""
    path = tmp_path / "of ours"
    path.write_bytes(LONG)
    await node.submit(document(), path)
    theirs = world.sealed(envelope(document(G22, H23), LONG + b"2"))
    hub.deliver(theirs.data, [H23], [LONG + b"2"], inline=False)
    async with node.running("receiver", "handover"):
        await handed(node, theirs.message_id, HandoverState.HANDED_OVER)
    orphan = bytes(70_000)
    await node.blobs.put("outorphan", digest_of(orphan), bytes_of(70_000), size=70_000)
    await node.blobs.append("inrest", 0, bytes_of(10), limit=10)
    leavings = Leavings(node.database, node.blobs, node.clock)

    async def here() -> tuple[bool, int]:
        return await node.blobs.size(digest_of(orphan)) is not None, await node.blobs.upload_offset("inrest")

    for days, left in ((0, (True, 10)), (2, (False, 10)), (8, (False, 0))):
        node.clock.ahead = timedelta(days=days)
        await leavings.drop()
        assert await here() == left
    assert await node.blobs.size(digest_of(LONG)) == len(LONG)
    assert await node.blobs.size(digest_of(LONG + b"2")) == len(LONG) + 1


async def test_a_message_whose_file_was_swept_meanwhile_is_put_off(node: Node, hub: HubSimulator, world: World) -> None:
    """When a file that an arriving message counted on is gone at its commit, the message is fetched once more."""
    sealed = world.sealed(envelope(document(G22, H23), LONG))
    await node.blobs.put("inearlier", digest_of(LONG), bytes_of(len(LONG)), size=len(LONG))
    entry = hub.deliver(sealed.data, [H23], [LONG], inline=False)
    asked: list[str] = []
    is_blob = node.attachments.is_blob

    async def swept_after(digest: str) -> bool:
        found = await is_blob(digest)
        if not asked:
            node.blobs.path(digest).unlink()
        asked.append(digest)
        return found

    node.attachments.is_blob = swept_after  # type: ignore[method-assign]  # the sweep, at the worst moment
    async with node.running("receiver", "handover"):
        await eventually(lambda: hub.outcomes(OutcomeKind.RELEASED) == [entry])
        hub.offer_again(entry)
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    assert await node.blobs.size(digest_of(LONG)) == len(LONG)
