"""A node whose ClamAV guard stands on a real clamd that is down, and comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.guards.clamav import open_clamav
from adapters.guards.protocol import Way
from node.store.states import HandoverState
from node.usecases.guarding import Post
from schemas.errors import Rejected, Unavailable
from tests.adapters.guards.guarded import context
from tests.node.core.asking import handed
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import open_node
from tests.node.core.world import G22, H23, World, document, envelope
from tests.services.clamd import ClamdServer, eicar
from tests.services.columns import DatabaseColumn


async def test_while_clamd_is_down_what_comes_in_waits_and_what_goes_out_is_for_later(
    tmp_path: Path, world: World, hub: HubSimulator, column: DatabaseColumn
) -> None:
    """Neither way does a document pass; when clamd is back the clean one is handed over and the infected refused."""
    server = ClamdServer(tmp_path / "clamd")
    guard = await open_clamav(context("clamav", socket=str(server.socket)))
    posts = [Post("clamav", guard, frozenset(Way), 20.0)]
    path = tmp_path / "thư.pdf"
    path.write_bytes(eicar())
    clean = world.sealed(envelope(document(G22, H23), b"clean"))
    dirty = world.sealed(envelope(document(G22, H23, document_id="G22,2026/11/22,1/VP"), eicar()))
    async with open_node(tmp_path / "node", world.identity(), hub.url, column, posts=posts) as node:
        await node.directory.sync(node.hub)
        with pytest.raises(Unavailable):
            await node.submit(document(H23), path)
        hub.deliver(clean.data, [H23], [b"clean"])
        hub.deliver(dirty.data, [H23], [eicar()])
        async with node.running():
            row = await handed(node, clean.message_id, HandoverState.RESTING)
            assert row.trouble is not None
            assert row.trouble.code == "scanner-down"
            assert node.adapter.deliveries == []
            with server:
                await handed(node, clean.message_id, HandoverState.HANDED_OVER)
                refused = await handed(node, dirty.message_id, HandoverState.REFUSED)
                with pytest.raises(Rejected, match="Test-Eicar"):
                    await node.submit(document(H23), path)
    assert refused.trouble is not None
    assert refused.trouble.code == "virus-found"
    assert [key.message_id for key in node.adapter.keys] == [clean.message_id]
