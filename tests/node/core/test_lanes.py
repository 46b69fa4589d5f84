"""Lanes at volume: twenty thousand ordinary documents wait, and an express one goes next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Any

from sqlalchemy import Connection

from adapters.sdk import Accepted, Delivery, Outcome
from node.store import handovers, sending_queue
from node.store.states import HandoverState, OutboxState
from node.usecases.lanes import LANES
from node.workers.express_receiver import MANY
from schemas.codes import AgencyCode
from schemas.message import Priority
from tests.node.core.asking import arrives, becomes, handed
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, eventually
from tests.node.core.world import G22, H23, World, document, envelope
from tests.services.columns import ON_SQLITE
from transport.batches import MOST

WAITING = 20_000

#: Tables with a row for a waiting document, and what of it must differ in a copy.
_OUTBOX = {"messages": "sequence", "envelopes": None, "outbox": "sequence", "outbox_recipients": None}
_INBOX = {"messages": "sequence", "envelopes": None, "inbox": "sequence", "handovers": "sequence"}


def _multiply(connection: Connection, message_id: str, tables: dict[str, str | None]) -> None:
    """Have `WAITING` documents like one that is there; the copies come after it, in order."""
    for table, number in tables.items():
        names = [row.name for row in connection.exec_driver_sql(f"PRAGMA table_info({table})")]
        changed = {"message_id": "printf('%064x', n)", "key": "'copy ' || n", number: f"{number} + 10 + n"}
        values = ", ".join(changed.get(name, f'"{name}"') for name in names)
        connection.exec_driver_sql(
            f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {WAITING - 1})"
            f" INSERT INTO {table} ({', '.join(f'''{chr(34)}{name}{chr(34)}''' for name in names)})"
            f" SELECT {values} FROM {table}, c WHERE message_id = ?",
            (message_id,),
        )


@ON_SQLITE
async def test_an_express_document_is_sent_next_whatever_waits_in_the_outbox(node: Node, hub: HubSimulator) -> None:
    """With 20,000 ordinary documents in the outbox, and slow ones under way, an express one is the next to set out."""
    first = await node.submit(document(), key="first")
    await node.database.write(lambda connection: _multiply(connection, first, _OUTBOX))
    hub.faults.hold = lambda sent: sent.priority is Priority.NORMAL
    async with node.running("sender"):
        await eventually(lambda: len(hub.tries) >= 1)
        express = await node.submit(document(priority=Priority.EXPRESS), key="express")
        await becomes(node, express, OutboxState.ACCEPTED)
        assert hub.order == [express]
        assert len(hub.tries) <= MOST + 1, "the one request that was under way already, and the express document"
        hub.faults.hold = lambda _sent: False

    def left(connection: Connection) -> Any:
        return connection.exec_driver_sql("SELECT count(*) FROM outbox WHERE state = 'ready'").scalar_one()

    assert await node.database.read(left) > WAITING - 100


@ON_SQLITE
async def test_an_express_document_is_handed_over_next_whatever_waits_in_the_inbox(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """With 20,000 ordinary documents before software that takes ages for each, an express one is handed over."""
    slow = asyncio.Event()

    async def answer(delivery: Delivery) -> Outcome:
        if delivery.message.priority is Priority.NORMAL:
            await slow.wait()
        return Accepted()

    node.adapter.answer = answer
    first = world.sealed(envelope(document(G22, H23)))
    hub.deliver(first.data, [H23])
    async with node.running("receiver"):
        await arrives(node, first.message_id)
    await node.database.write(lambda connection: _multiply(connection, first.message_id, _INBOX))
    async with node.running("receiver", "handover"):
        # One agency leaves a place to the others that the node serves.
        places = node.settings.handover.parallel - node.settings.handover.express_reserve - 1
        await eventually(lambda: len(node.adapter.deliveries) == places)
        express = world.sealed(envelope(document(G22, H23, priority=Priority.EXPRESS_APPOINTED)))
        hub.deliver(express.data, [H23])
        await handed(node, express.message_id, HandoverState.HANDED_OVER)
        assert len(node.adapter.deliveries) == places + 1
        slow.set()


async def test_an_express_document_is_taken_in_while_a_batch_is_worked_off(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """A node that is in the middle of a batch takes an express document in beside it, and hands it over."""
    hub.reports_open.clear()
    for number in range(MANY - 1):
        hub.deliver(world.sealed(envelope(document(G22, H23, subject=f"Số {number}"))).data, [H23])
    # An entry that goes back: the receiver waits for the hub to hear of it, which it does not.
    hub.deliver(world.sealed(envelope(document(G22, H23))).data, [AgencyCode("H99")])
    async with node.running("receiver", "express-receiver", "handover"):
        await eventually(lambda: hub.express_polls > 0)
        express = world.sealed(envelope(document(G22, H23, priority=Priority.EXPRESS)))
        hub.deliver(express.data, [H23], express=True)
        await handed(node, express.message_id, HandoverState.HANDED_OVER)
        assert len(hub.polls) == hub.express_polls + 2
        hub.reports_open.set()


async def test_an_idle_node_asks_with_one_poll(node: Node, hub: HubSimulator, world: World) -> None:
    """A single document makes no backlog: the node that waits for mail waits in one poll."""
    sealed = world.sealed(envelope(document(G22, H23)))
    hub.deliver(sealed.data, [H23])
    async with node.running():
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    assert hub.express_polls == 0


async def test_a_look_brings_what_is_not_worked_on_yet(node: Node) -> None:
    """What is being sent is not read again: the first of those besides it are found, whatever their number."""
    submitted = [await node.submit(document(), key=f"{number}") for number in range(5)]

    def besides(*others: str) -> Awaitable[list[str]]:
        ready = partial(sending_queue.ready, limit=2, bulk_bytes=1000, besides=others)
        return node.database.read(lambda transaction: [row.message_id for row in ready(transaction)])

    assert await besides() == submitted[:2]
    assert await besides(*submitted[:3]) == submitted[3:]
    assert await besides(*submitted) == []


@ON_SQLITE
async def test_a_look_at_a_long_queue_costs_what_a_look_at_a_short_one_does(node: Node) -> None:
    """What goes next is read from the front of an index: of 20,000 rows the database touches a handful."""
    first = await node.submit(document(), key="first")

    def steps(connection: Connection) -> int:
        taken = 0

        def count() -> int:
            nonlocal taken
            taken += 1
            return 0

        driver = connection.connection.driver_connection
        driver.set_progress_handler(count, 1)
        try:
            sending_queue.ready(connection, limit=8, bulk_bytes=1000)
            handovers.ready(connection, limit=8, lanes=range(LANES), bulk_bytes=1000)
        finally:
            driver.set_progress_handler(None, 0)
        return taken

    few = await node.database.read(steps)
    await node.database.write(lambda connection: _multiply(connection, first, _OUTBOX))
    assert await node.database.read(steps) < few + 500


@ON_SQLITE
async def test_what_is_said_of_an_express_document_overtakes_twenty_thousand_reports(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """The receipts of an express document are in the next call to the hub, however much is still to be told."""

    def many(connection: Connection) -> None:
        connection.exec_driver_sql(
            f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {WAITING})"
            " INSERT INTO reports (entry, lease, outcome, lane) SELECT 1000 + n, 'x', 'received', 3 FROM c"
        )

    await node.database.write(many)
    express = world.sealed(envelope(document(G22, H23, priority=Priority.EXPRESS)))
    entry = hub.deliver(express.data, [H23])
    async with node.running("receiver"):
        await arrives(node, express.message_id)
    async with node.running("reporter"):
        await eventually(lambda: bool(hub.reports))
    assert hub.reports[0].outcomes[0].entry == entry
