"""The delivery engine: when what was handed back comes again, what ends in which order, what a late receipt says."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from hub.settings_exchange import ExchangeSettings
from hub.usecases.balance import Tally, balance_of
from hub.usecases.endings import Endings
from hub.usecases.expiry import Expiry
from hub.usecases.meters import Meters
from schemas.message import Priority
from tests.clocks import certain
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import document
from tests.hub.exchange.nodes import Node
from transport.wire import EnvelopeEntry, Outcome, OutcomeKind, OutcomeResult, OutcomesRequest


@pytest.fixture
def settings() -> ExchangeSettings:
    return ExchangeSettings.model_validate(
        {
            "submissions": {"spare_bytes": 0},
            "mailbox": {"release": {"first_seconds": 10, "longest_seconds": 100, "jitter": 0.2}},
            "deliveries": {"days": {"express": 0.25}},
        }
    )


async def _release(node: Node, entry: EnvelopeEntry) -> None:
    outcome = Outcome(entry=entry.entry, lease=entry.lease, outcome=OutcomeKind.RELEASED)
    (result,) = (await node.client.report(OutcomesRequest(outcomes=(outcome,)))).outcomes
    assert result.result is OutcomeResult.RECORDED


async def _seconds_until_offered(world: World, node: Node) -> tuple[float, EnvelopeEntry]:
    """When the one entry of `node` comes again, to the second; the clock is moved there."""
    for seconds in range(1000):
        if entries := await node.envelopes():
            return seconds, entries[0]
        world.clock.advance(seconds=1)
    raise AssertionError("the entry never came again")


async def test_each_release_waits_twice_as_long_up_to_a_cap(world: World, g22: Node, h23: Node) -> None:
    """A node that does not say when gets its entry back after 10 s, 20 s, 40 s and so on, never later than the cap."""
    await g22.send(document("G22", "H23"))
    (entry,) = await h23.envelopes()
    waits = []
    for _ in range(6):
        await _release(h23, entry)
        seconds, entry = await _seconds_until_offered(world, h23)
        waits.append(seconds)
    for wait, due in zip(waits, [10, 20, 40, 80, 100, 100], strict=True):
        assert 0.8 * due <= wait <= 1.2 * due + 1


async def test_what_was_released_together_does_not_come_back_together(world: World, g22: Node, h23: Node) -> None:
    """The waits of two entries that came back at one moment are spread."""
    for _ in range(8):
        await g22.send(document("G22", "H23"))
    for entry in await h23.envelopes():
        await _release(h23, entry)
    offered = await world.database.read(
        lambda transaction: transaction.exec_driver_sql(
            "SELECT count(DISTINCT available_at) FROM mailbox_entries"
        ).scalar_one()
    )
    assert offered == 8


async def test_an_expired_message_is_handed_to_nobody(world: World, g22: Node, h23: Node) -> None:
    """From its expiry on a message is not offered, even before a sweep has ended its delivery."""
    await g22.send(document("G22", "H23", expires_at=world.clock() + timedelta(hours=1)))
    world.clock.advance(hours=1)
    assert await h23.envelopes() == []
    assert (await balance_of(world.database)).overall.pending == 1


async def test_a_released_entry_expires_though_it_waits(world: World, g22: Node, h23: Node) -> None:
    """What nobody has on lease ends at its time, also while a backoff keeps it away."""
    await g22.send(document("G22", "H23", expires_at=world.clock() + timedelta(seconds=5)))
    (entry,) = await h23.envelopes()
    await _release(h23, entry)
    world.clock.advance(seconds=5)
    await world.exchange.expiry.run()
    assert (await balance_of(world.database)).overall == Tally(1, 0, 0, 1, 0, 0)


async def test_a_priority_has_a_time_to_live_of_its_own(world: World, g22: Node, h23: Node) -> None:
    """An express document ends after the hours that the operator set for express, a normal one after its own."""
    await g22.send(document("G22", "H23"))
    await g22.send(document("G22", "H23", priority=Priority.EXPRESS))
    world.clock.advance(hours=6)
    await world.exchange.expiry.run()
    assert (await balance_of(world.database)).overall == Tally(2, 0, 0, 1, 0, 1)


async def test_expiry_goes_in_small_transactions_the_express_lane_first(
    world: World, g22: Node, h23: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction ends a bounded number of deliveries, also of one entry for many agencies, express before bulk."""
    batches: list[list[tuple[int, str]]] = []
    end = Endings.end

    async def noted(self, doomed, ending):
        batches.append([(each.message.priority, each.recipient) for each in doomed])
        return await end(self, doomed, ending)

    monkeypatch.setattr(Endings, "end", noted)
    until = world.clock() + timedelta(hours=1)
    for _ in range(2):
        await g22.send(document("G22", "H23", "H23.12", "H23.13", expires_at=until))
    await g22.send(document("G22", "H23", priority=Priority.EXPRESS, expires_at=until))
    world.clock.advance(hours=1)
    await Expiry(
        world.database, world.exchange.expiry._endings, Meters(CollectorRegistry()), certain(world.clock), together=2
    ).run()
    assert [len(batch) for batch in batches] == [2, 2, 2, 1]
    assert batches[0][0] == (Priority.EXPRESS, "H23")
    assert sorted(code for batch in batches for _, code in batch) == sorted(["H23", "H23.12", "H23.13"] * 2 + ["H23"])
    assert (await balance_of(world.database)).overall == Tally(7, 0, 0, 7, 0, 0)


class TestAHandoverBeforeItsConsignment:
    """A node that lost the order of its reports tells of a handover while the delivery is still queued."""

    async def test_delivers(self, world: World, g22: Node, h23: Node) -> None:
        """What was handed over is delivered, in the balance and in the trace."""
        answer = await g22.send(document("G22", "H23"))
        assert (await h23.hand_over(answer.message_id, "G22", "H23")).receipts[0].result is OutcomeResult.RECORDED
        assert (await balance_of(world.database)).overall == Tally(1, 1, 0, 0, 0, 0)
        (delivery,) = (await g22.client.message(answer.message_id)).deliveries
        assert delivery.state == "delivered"

    async def test_still_gets_the_receipt_of_its_consignment(self, world: World, g22: Node, h23: Node) -> None:
        """The entry is offered until the consignment is receipted too; the sender has both receipts, once each."""
        answer = await g22.send(document("G22", "H23"))
        await h23.hand_over(answer.message_id, "G22", "H23")
        (entry,) = await h23.envelopes()
        assert (await h23.report(entry, "G22")).result is OutcomeResult.RECORDED
        assert (await h23.report(entry, "G22")).result is OutcomeResult.REPEATED
        world.clock.advance(days=1)
        assert await h23.envelopes() == []
        assert len(await g22.receipts()) == 2
        assert (await balance_of(world.database)).overall == Tally(1, 1, 0, 0, 0, 0)

    async def test_does_not_expire(self, world: World, g22: Node, h23: Node) -> None:
        """Its sender is never told that nobody fetched what its recipient's software has."""
        answer = await g22.send(document("G22", "H23"))
        await h23.hand_over(answer.message_id, "G22", "H23")
        world.clock.advance(days=31)
        await world.exchange.expiry.run()
        assert (await balance_of(world.database)).overall == Tally(1, 1, 0, 0, 0, 0)
        assert len(await g22.receipts()) == 1

    async def test_supersedes_an_expiry(self, world: World, g22: Node, h23: Node) -> None:
        """An expiry that was told already is undone as a consignment would undo it."""
        answer = await g22.send(document("G22", "H23"))
        world.clock.advance(days=30)
        await world.exchange.expiry.run()
        await h23.hand_over(answer.message_id, "G22", "H23")
        assert (await balance_of(world.database)).overall == Tally(1, 1, 0, 0, 0, 0)


async def test_a_clock_set_back_holds_up_nothing(world: World, g22: Node, h23: Node) -> None:
    """What was accepted, and what was leased, while the hub's clock was hours ahead is offered once it is right."""
    world.clock.advance(hours=5)
    await g22.send(document("G22", "H23", subject="một"))
    (leased,) = await h23.envelopes()
    await g22.send(document("G22", "H23", subject="hai"))
    world.clock.advance(hours=-5)
    again = {entry.entry for _ in range(2) for entry in await h23.envelopes()}
    assert len(again) == 2
    assert leased.entry in again
    assert await h23.envelopes() == []
