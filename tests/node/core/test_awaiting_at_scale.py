"""Software that fetches, over a record that has grown: no question of it reads a table as a whole, and audits agree."""

from __future__ import annotations

from adapters.sdk import Accepted, Awaiting, Delivery, MessageKind, Outcome
from node.usecases.audit import audit_node
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, eventually
from tests.node.core.test_query_plans import noted, plans_of, scans
from tests.node.core.world import G22, H23, H23_12, World, document, envelope
from tests.services.columns import ON_SQLITE


async def offer(_delivery: Delivery) -> Outcome:
    return Awaiting()


@ON_SQLITE
async def test_no_question_of_fetching_software_reads_a_table_as_a_whole(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """Lists, counts, locks, reading, settling, events and what was sent are answered by indexes."""
    node.adapter.answer = offer
    for number in range(3):
        hub.deliver(world.sealed(envelope(document(G22, H23), submission_id=str(number))).data, [H23])
    sent = await node.submit(document(H23, G22))
    facade = node.facade

    async def all_offered() -> bool:
        return await facade.count_waiting() == 3

    async with node.running():
        await eventually(all_offered)
    with noted() as statements:
        first, second, _ = await facade.waiting(limit=3)
        await facade.waiting(after=first.cursor, kind=MessageKind.DOCUMENT, unlocked=True, recipients=[H23])
        await facade.count_waiting(recipients=[H23])
        lock = await facade.lock([first.key, second.key], seconds=60)
        await facade.unlock([second.key], lock=lock.token)
        await facade.delivery(first.key)
        await facade.settle(first.key, Accepted(), lock=lock.token)
        await facade.events(after=await facade.last_event() - 2)
        await facade.sent(message_id=sent)
        await facade.sent(limit=1)
    plans = await node.database.read(lambda connection: plans_of(connection, statements))
    assert len(plans) > 15
    assert [(table, statement) for statement, steps in plans.items() for table in scans(statement, steps)] == []


async def test_an_audit_finds_nothing_in_what_awaits(node: Node, hub: HubSimulator, world: World) -> None:
    """A message that awaits software has its consignment receipt and no other, and that is as it should be."""
    node.adapter.answer = offer
    hub.deliver(world.sealed(envelope(document(G22, H23))).data, [H23])

    async def offered() -> bool:
        return await node.facade.count_waiting() == 1

    async with node.running():
        await eventually(offered)
        await eventually(lambda: len(hub.receipts_reported()) == 1)
        await eventually(lambda: len(hub.accepted) == 1)
    found = await audit_node(node.database, node.blobs, node.identity.hub_authority, (H23, H23_12))
    assert found.findings == ()
