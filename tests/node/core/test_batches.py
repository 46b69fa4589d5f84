"""Batches at the node: submissions side by side on few connections, arrivals and receipts many at a time."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, event

from node.store.states import HandoverState
from node.usecases.attachments import SMALL
from tests.node.core.asking import arrives, handed
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, eventually
from tests.node.core.world import G22, H23, World, document, envelope
from tests.services.columns import engines

DOCUMENTS = 24


async def test_light_submissions_go_together(node: Node, hub: HubSimulator) -> None:
    """Light documents that wait are brought several in one request, on a connection that stays."""
    for number in range(DOCUMENTS):
        await node.submit(document(), key=str(number))
    async with node.running("sender"):
        await eventually(lambda: len(hub.order) == DOCUMENTS)
    assert sum(hub.batches) == DOCUMENTS
    assert len(hub.batches) < DOCUMENTS / 2
    assert len(hub.connections) <= node.settings.sender.parallel


async def test_large_submissions_go_side_by_side_on_connections_that_stay(
    node: Node, hub: HubSimulator, tmp_path: Path
) -> None:
    """The sender has several submissions under way at once, and opens no connection for each."""
    long = tmp_path / "long.pdf"
    long.write_bytes(b"%PDF-1.7" + bytes(SMALL))
    ordinary = node.settings.sender.parallel - node.settings.sender.express_reserve
    hub.faults.hold = lambda _envelope: len(set(hub.tries)) < ordinary
    async with node.running("sender"):
        for number in range(DOCUMENTS):
            await node.submit(document(), long, key=str(number))
        await eventually(lambda: len(hub.order) == DOCUMENTS)
    assert ordinary <= len(hub.connections) <= node.settings.sender.parallel


async def test_arrivals_are_taken_in_and_reported_many_at_a_time(node: Node, hub: HubSimulator, world: World) -> None:
    """What one fetch brings is one commit of the inbox, and the receipts go back in few calls."""
    names = []
    for number in range(DOCUMENTS):
        sealed = world.sealed(envelope(document(G22, H23), submission_id=str(number)))
        hub.deliver(sealed.data, [H23])
        names.append(sealed.message_id)
    commits: list[None] = []

    def note(_connection: Connection) -> None:
        commits.append(None)

    _, writer = engines(node.database)
    event.listen(writer, "commit", note)
    async with node.running("receiver"):
        for name in names:
            await arrives(node, name)
    event.remove(writer, "commit", note)
    assert len(commits) < DOCUMENTS / 2
    hub.reports_open.clear()
    async with node.running("handover", "reporter"):
        for name in names:
            await handed(node, name, HandoverState.HANDED_OVER)
        hub.reports_open.set()
        await eventually(lambda: len(hub.receipts_reported()) == 2 * DOCUMENTS)
    assert len(hub.reports) < DOCUMENTS / 4, "what is written while one report is under way goes together"
