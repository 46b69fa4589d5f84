"""Batches at the node: submissions side by side on few connections, arrivals and receipts many at a time."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, event
from structlog.testing import capture_logs

from node.settings_exchange import ReportSettings
from node.store.states import HandoverState
from node.usecases.attachments import SMALL
from schemas.message import Priority
from tests.node.core.asking import arrives, handed
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, eventually
from tests.node.core.world import G22, H23, World, document, envelope
from tests.services.columns import engines
from transport.wire import OutcomeKind

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
    # Each takes three requests: submitted, its attachment brought, submitted again.
    assert ordinary <= len(hub.connections) < 2 * DOCUMENTS


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


async def test_reports_wait_for_more_but_for_those_about_express_documents(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """What is told of ordinary mail waits for its hand-over to go along; that of an express document takes it along."""
    node.settings = node.settings.model_copy(update={"reports": ReportSettings(gather=60.0)})
    ordinary = world.sealed(envelope(document(G22, H23), submission_id="ordinary"))
    entries = {hub.deliver(ordinary.data, [H23])}
    async with node.running("receiver", "handover", "reporter"):
        await handed(node, ordinary.message_id, HandoverState.HANDED_OVER)
        assert hub.reports == []
        urgent = document(G22, H23, priority=Priority.EXPRESS)
        entries.add(hub.deliver(world.sealed(envelope(urgent, submission_id="express")).data, [H23]))
        await eventually(lambda: set(hub.outcomes(OutcomeKind.CONSIGNED)) == entries)
        await eventually(lambda: len(hub.receipts_reported()) == 4)
    assert {outcome.entry for outcome in hub.reports[0].outcomes} == entries
    assert len(hub.reports) <= 2


async def test_a_batch_has_one_line_in_the_log_for_each_step(node: Node, hub: HubSimulator, world: World) -> None:
    """The lines of a batch name every message of it, once as arrived and once as handed over."""
    sealed = [world.sealed(envelope(document(G22, H23), submission_id=str(number))) for number in range(DOCUMENTS)]
    for each in sealed:
        hub.deliver(each.data, [H23])
    with capture_logs() as logs:
        async with node.running("receiver"):
            for each in sealed:
                await arrives(node, each.message_id)
        async with node.running("handover"):
            for each in sealed:
                await handed(node, each.message_id, HandoverState.HANDED_OVER)
    for step in ("arrived", "handed-over"):
        lines = [line for line in logs if line["event"] in (f"message.{step}", f"messages.{step}")]
        told = [name for line in lines for name in line.get("messages", [line.get("message")])]
        assert sorted(told) == sorted(each.message_id for each in sealed)
        assert len(lines) < DOCUMENTS
