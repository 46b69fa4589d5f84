"""Fan-out: batches that survive a crash, urgent first, each connection served once; and the balance meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from hub.settings_exchange import ExchangeSettings
from hub.usecases.acceptance import recipients_digest
from hub.usecases.balance import Tally, balance_of
from hub.workers.fanout import fanout_service
from schemas.envelope import Selector, SelectorKind
from schemas.message import Priority, StatusCode
from tests.hub.exchange.conftest import Running, World
from tests.hub.exchange.documents import document, status
from tests.hub.exchange.nodes import Node

UNITS = tuple(f"H23.{number}" for number in range(1, 6))


@pytest.fixture
def settings() -> ExchangeSettings:
    return ExchangeSettings.model_validate(
        {"submissions": {"spare_bytes": 0}, "deliveries": {"batch": 2}, "mailbox": {"recheck_seconds": 60}}
    )


@pytest.fixture
async def units(world: World) -> Node:
    """A node that serves five units of Hải Dương: more than two batches of deliveries."""
    return await world.join("haiduong", *UNITS)


async def _run(world: World) -> int:
    steps = 0
    while await world.exchange.fanout.step():
        steps += 1
    return steps


async def test_a_connection_gets_the_envelope_once_with_all_its_codes(world: World, g22: Node, units: Node) -> None:
    """While deliveries of a connection are still being written it sees nothing; then one entry with every code."""
    await g22.send(document("G22", *UNITS))
    assert await units.envelopes() == []
    assert await world.exchange.fanout.step()
    assert await units.envelopes() == []
    await _run(world)
    (entry,) = await units.envelopes()
    assert entry.recipients == UNITS


async def test_a_crash_between_batches_loses_nothing_and_doubles_nothing(
    running: Running, world: World, g22: Node, units: Node
) -> None:
    """After a restart the fan-out goes on where it stood."""
    others = await world.join("hungyen", "H31", "H31.1")
    await g22.send(document("G22", *UNITS, "H31", "H31.1"))
    await world.exchange.fanout.step()
    async with running() as restarted:
        assert await _run(restarted) == 2
        assert await restarted.count("deliveries") == 7
        assert await restarted.count("mailbox_entries") == 2
        assert await restarted.count("fanout_batches") == 0
    (entry,) = await units.envelopes()
    assert entry.recipients == UNITS
    (entry,) = await others.envelopes()
    assert entry.recipients == ("H31", "H31.1")


async def test_express_fans_out_before_what_came_earlier(world: World, g22: Node, units: Node) -> None:
    """The next batch is always that of the most urgent message."""
    await g22.send(document("G22", *UNITS))
    express = await g22.send(document("G22", *UNITS, priority=Priority.EXPRESS))
    for _ in range(2):
        await world.exchange.fanout.step()
    assert [entry.message_id for entry in await units.envelopes()] == [express.message_id]


async def test_the_balance_holds_at_every_moment(world: World, g22: Node, units: Node) -> None:
    """Deliveries that are not written yet are pending; nothing is counted twice, for sender or recipient."""
    other = await world.join("hungyen", "H31")
    await g22.send(document("G22", *UNITS))
    await other.send(document("H31", "H23.1"))
    while True:
        balance = await balance_of(world.database)
        assert balance.overall == Tally(6, 0, 0, 0, 0, 6)
        assert balance.sent == {"G22": Tally(5, 0, 0, 0, 0, 5), "H31": Tally(1, 0, 0, 0, 0, 1)}
        assert balance.received["H23.1"] == Tally(2, 0, 0, 0, 0, 2)
        assert balance.balances
        if not await world.exchange.fanout.step():
            break
    entries = await units.envelopes()
    await units.report(next(entry for entry in entries if len(entry.recipients) == 5), "G22", codes=("H23.2",))
    balance = await balance_of(world.database)
    assert balance.sent["G22"] == Tally(5, 1, 0, 0, 0, 4)
    assert balance.received["H23.2"] == Tally(1, 1, 0, 0, 0, 0)


async def test_a_lost_delivery_shows_in_the_balance(world: World, g22: Node, units: Node) -> None:
    """What was acknowledged is counted by the acknowledgements: a delivery that vanished is missed."""
    await g22.send(document("G22", "H23.1"))
    await world.database.write(lambda transaction: transaction.exec_driver_sql("DELETE FROM deliveries"))
    balance = await balance_of(world.database)
    assert balance.overall == Tally(1, 0, 0, 0, 0, 0)
    assert not balance.balances


async def test_a_document_is_taken_back_from_recipients_not_yet_written(world: World, g22: Node, units: Node) -> None:
    """Status 13 goes to all that were acknowledged, fanned out or not."""
    about = (await g22.send(document("G22", *UNITS))).message_id
    answer = await g22.send(status("G22", StatusCode.TAKEN_BACK, about))
    trace = await g22.client.message(answer.message_id)
    assert [delivery.recipient for delivery in trace.deliveries] == list(UNITS)
    assert {delivery.state for delivery in trace.deliveries} == {"queued"}


async def test_the_service_fans_out_as_soon_as_something_is_accepted(world: World, g22: Node, units: Node) -> None:
    """An acceptance wakes the fan-out, and the fan-out wakes the poll that waits."""
    stop = asyncio.Event()
    wakeups = world.exchange.wakeups
    service = asyncio.create_task(fanout_service(world.exchange.fanout, wakeups, recheck=3600)(stop))
    waiting = asyncio.create_task(units.fetch(wait=50))
    await asyncio.sleep(0.05)
    await g22.send(document("G22", *UNITS))
    assert len((await asyncio.wait_for(waiting, 10)).entries) == 1
    stop.set()
    wakeups.wake_all()
    await asyncio.wait_for(service, 10)


async def test_the_acknowledgement_covers_every_recipient_of_a_long_list(world: World, g22: Node) -> None:
    """Count and digest in the acknowledgement are of the whole list, and the deliveries become just that."""
    codes = tuple(f"H37.{number}" for number in range(1, 301))
    await world.join("langson", *codes)
    answer = await g22.send(document("G22", selectors=(Selector(SelectorKind.PREFIX, "H37"),)))
    await _run(world)
    trace = await g22.client.message(answer.message_id)
    recipients = [delivery.recipient for delivery in trace.deliveries]
    assert sorted(recipients) == sorted(codes)
    acknowledged = answer.acknowledgement
    assert acknowledged is not None
    assert recipients_digest(recipients).encode() in acknowledged.receipt
