"""The stand-in node's log of events is one that an adapter can follow as the real node's."""

from __future__ import annotations

import asyncio
from pathlib import Path

from adapters.kit.messages import Repertoire
from adapters.kit.node import StandInNode
from adapters.sdk import Accepted


async def test_a_follower_of_the_stand_in_node_is_told_of_offers_and_ends(tmp_path: Path) -> None:
    """Each step once, in order, numbered without gaps; a follower that waits gets what comes."""
    node = StandInNode(tmp_path / "node")
    case = Repertoire(tmp_path / "out").document()
    node.know([case])
    following = asyncio.create_task(node.events(wait_seconds=60))
    node.record.offer(case.key)
    (offered,) = await following
    await node.settle(case.delivery.key, Accepted())
    await node.settle(case.delivery.key, Accepted())
    (done,) = await node.events(after=offered.number)
    assert [(event.number, event.name) for event in (offered, done)] == [
        (1, "handover.awaiting"),
        (2, "handover.done"),
    ]
    assert (offered.message_id, offered.code) == (case.delivery.key.message_id, case.delivery.key.recipient)
    assert await node.last_event() == 2
    node.close()
