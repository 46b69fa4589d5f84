"""Mailboxes: order, leases, waits, and how much one answer holds."""

from __future__ import annotations

import asyncio

import pytest

from hub.settings_exchange import ExchangeSettings
from schemas.errors import Unavailable
from schemas.message import Priority
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import digest_of, document
from tests.hub.exchange.nodes import NOW, Node, rejection
from transport.wire import OutcomeKind


async def test_the_most_urgent_comes_first_then_the_oldest(g22: Node, h23: Node) -> None:
    """Express overtakes what waits; within a lane the order is that of acceptance."""
    order = [
        Priority.NORMAL,
        Priority.URGENT,
        Priority.NORMAL,
        Priority.EXPRESS,
        Priority.VERY_URGENT,
        Priority.EXPRESS_APPOINTED,
    ]
    ids = [(await g22.send(document("G22", "H23", priority=priority))).message_id for priority in order]
    fetched = [entry.message_id for entry in await h23.envelopes()]
    assert fetched == [ids[place] for place in (3, 5, 4, 1, 0, 2)]


async def test_a_leased_entry_is_not_offered_until_its_lease_lapses(world: World, g22: Node, h23: Node) -> None:
    """An entry has one holder at a time; after a minute without a word it is offered again, with another lease."""
    await g22.send(document("G22", "H23"))
    (first,) = await h23.envelopes()
    assert (first.leased_until - NOW).total_seconds() == 60
    world.clock.advance(seconds=59)
    assert await h23.envelopes() == []
    world.clock.advance(seconds=1)
    (second,) = await h23.envelopes()
    assert second.entry == first.entry
    assert second.lease != first.lease


async def test_who_asks_for_nothing_is_told_how_the_store_stands(g22: Node, h23: Node) -> None:
    """With a limit of 0 nothing is leased: what waits is there for the next fetch."""
    await g22.send(document("G22", "H23"))
    answer = await h23.fetch(limit=0)
    assert answer.entries == ()
    assert answer.epoch
    assert len(await h23.envelopes()) == 1


async def test_a_batch_that_lapsed_is_offered_one_by_one(world: World, g22: Node, h23: Node) -> None:
    """A poison envelope must not take its neighbours with it again: after a lapse each comes alone."""
    ids = [(await g22.send(document("G22", "H23"))).message_id for _ in range(3)]
    assert len(await h23.envelopes()) == 3
    world.clock.advance(seconds=60)
    alone = [[entry.message_id for entry in await h23.envelopes()] for _ in range(4)]
    assert alone == [[ids[0]], [ids[1]], [ids[2]], []]


async def test_what_lapsed_before_comes_back_ever_more_rarely(world: World, g22: Node, h23: Node) -> None:
    """Each lapse doubles the next lease, up to ten minutes; a lapse is no failed attempt."""
    answer = await g22.send(document("G22", "H23"))
    lengths = []
    for _ in range(9):
        (entry,) = await h23.envelopes()
        lengths.append((entry.leased_until - world.clock()).total_seconds() / 60)
        world.clock.now = entry.leased_until
    assert lengths == [1, 2, 4, 8, 10, 10, 10, 10, 10]
    (delivery,) = (await g22.client.message(answer.message_id)).deliveries
    assert delivery.attempts == 0


async def test_new_mail_is_not_held_up_by_an_entry_that_lapsed(world: World, g22: Node, h23: Node) -> None:
    """Behind an entry that is offered alone the others are offered in the next answer."""
    await g22.send(document("G22", "H23"))
    await h23.envelopes()
    fresh = [(await g22.send(document("G22", "H23"))).message_id for _ in range(2)]
    world.clock.advance(seconds=60)
    await h23.envelopes()
    assert [entry.message_id for entry in await h23.envelopes()] == fresh


async def test_an_entry_that_lapsed_is_not_put_beside_what_comes_before_it(world: World, g22: Node, h23: Node) -> None:
    """Express mail goes before it, and goes without it."""
    lapsed = (await g22.send(document("G22", "H23"))).message_id
    await h23.envelopes()
    express = (await g22.send(document("G22", "H23", priority=Priority.EXPRESS))).message_id
    world.clock.advance(seconds=60)
    assert [[entry.message_id for entry in await h23.envelopes()] for _ in range(2)] == [[express], [lapsed]]


async def test_a_poll_waits_for_mail_and_answers_when_it_comes(world: World, g22: Node, h23: Node) -> None:
    """A waiting poll is answered by the acceptance itself, long before it would look again."""
    waiting = asyncio.create_task(h23.fetch(wait=50))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    answer = await g22.send(document("G22", "H23"))
    fetched = await asyncio.wait_for(waiting, 10)
    assert [entry.message_id for entry in fetched.entries] == [answer.message_id]


async def test_a_poll_ends_empty_when_nothing_comes(h23: Node) -> None:
    """The wait is as long as asked for, and then the answer has no entries but the hub's time and epoch."""
    answer = await h23.fetch(wait=0.05)
    assert (answer.entries, answer.epoch, answer.hub_time) == ((), "epoch-1", NOW)
    assert answer.directory_version == 2


async def test_polls_of_others_are_not_woken(g22: Node, h23: Node, h31: Node) -> None:
    """Mail for one connection leaves another waiting."""
    waiting = asyncio.create_task(h31.fetch(wait=0.5))
    await asyncio.sleep(0.05)
    await g22.send(document("G22", "H23"))
    assert (await waiting).entries == ()


async def test_a_poll_for_express_is_answered_with_express_alone(g22: Node, h23: Node) -> None:
    """Ordinary mail neither ends such a poll nor is leased by it; an express document does, whatever came before."""
    await g22.send(document("G22", "H23"))
    waiting = asyncio.create_task(h23.fetch(wait=30, express=True))
    await asyncio.sleep(0.05)
    await g22.send(document("G22", "H23", priority=Priority.VERY_URGENT))
    express = await g22.send(document("G22", "H23", priority=Priority.EXPRESS))
    fetched = await asyncio.wait_for(waiting, 10)
    assert [entry.message_id for entry in fetched.entries] == [express.message_id]
    assert len(await h23.envelopes()) == 2


async def test_two_polls_never_get_the_same_entry(g22: Node, h23: Node) -> None:
    """However many polls race for the mail, each entry is handed out once."""
    for _ in range(6):
        await g22.send(document("G22", "H23"))
    answers = await asyncio.gather(*(h23.fetch(limit=2) for _ in range(6)))
    entries = [entry.entry for answer in answers for entry in answer.entries]
    assert sorted(entries) == sorted(set(entries))
    assert len(entries) == 6


async def test_a_stopping_hub_ends_the_waits(world: World, h23: Node) -> None:
    """A poll does not keep a hub that is being stopped from ending."""
    waiting = asyncio.create_task(h23.fetch(wait=50))
    await asyncio.sleep(0.05)
    world.exchange.mailbox._stop.set()
    world.exchange.wakeups.wake(("mailbox", "haiduong"))
    assert (await asyncio.wait_for(waiting, 10)).entries == ()


@pytest.mark.parametrize("query", ["wait=-1", "wait=nan", "wait=inf", "wait=x", "limit=-3", "limit=x"])
async def test_a_malformed_question_is_refused(query: str, h23: Node) -> None:
    """Numbers that are none are refused by name."""
    async with h23.session.get(h23.client._hub.with_path("/v1/mailbox").with_query(query)) as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["code"], problem["element"]) == (
            400,
            "request-malformed",
            query.partition("=")[0],
        )


class TestBounds:
    """How much one answer holds, and how many wait."""

    @pytest.fixture
    def settings(self) -> ExchangeSettings:
        return ExchangeSettings.model_validate(
            {
                "submissions": {"spare_bytes": 0},
                "mailbox": {"answer_bytes": 65536, "inline_bytes": 60_000, "waiting": 1, "recheck_seconds": 0.02},
            }
        )

    async def test_an_answer_stops_at_its_size(self, g22: Node, h23: Node) -> None:
        """An answer takes what fits; the rest comes with the next."""
        content = bytes(20_000)
        for _ in range(3):
            await g22.send(document("G22", "H23", attachments=[content]), content)
        assert [len(await h23.envelopes()) for _ in range(3)] == [2, 1, 0]

    async def test_short_attachments_come_along_as_far_as_there_is_room(self, g22: Node, h23: Node) -> None:
        """What does not fit into the envelope's share is fetched, like a long attachment."""
        contents = [bytes([number]) * 25_000 for number in range(3)]
        await g22.send(document("G22", "H23", attachments=contents), *contents)
        (entry,) = await h23.envelopes()
        assert set(entry.attachments) == {digest_of(contents[0]), digest_of(contents[1])}
        async with h23.client.blob(digest_of(contents[2]), start=0, lease=f"{entry.entry}:{entry.lease}") as chunks:
            assert b"".join([chunk async for chunk in chunks]) == contents[2]

    async def test_too_many_waiting_polls_are_told_to_come_again(self, h23: Node) -> None:
        """A connection has so many places to wait in, and no more."""
        waiting = asyncio.create_task(h23.fetch(wait=5))
        await asyncio.sleep(0.05)
        error = await rejection(h23.fetch(wait=5))
        assert isinstance(error, Unavailable)
        assert error.code == "too-many-requests"
        waiting.cancel()

    async def test_a_lost_wake_up_delays_and_loses_nothing(self, world: World, g22: Node, h23: Node) -> None:
        """A waiting poll looks again by itself: mail that nobody woke it for is found."""
        await g22.send(document("G22", "H23"))
        await h23.envelopes()
        waiting = asyncio.create_task(h23.fetch(wait=30))
        await asyncio.sleep(0.05)
        world.clock.advance(seconds=60)
        assert len((await asyncio.wait_for(waiting, 10)).entries) == 1


async def test_nothing_is_leased_to_a_peer_that_is_gone(g22: Node, h23: Node) -> None:
    """Mail that comes after a waiting peer hung up is there for its next poll at once."""
    waiting = asyncio.create_task(h23.fetch(wait=50))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.sleep(0.05)
    answer = await g22.send(document("G22", "H23"))
    fetched = await h23.fetch(wait=3)
    assert [entry.message_id for entry in fetched.entries if entry.kind == "envelope"] == [answer.message_id]


async def test_an_entry_with_its_outcome_told_is_offered_no_more(world: World, g22: Node, h23: Node) -> None:
    """What was consigned or refused never comes again."""
    await g22.send(document("G22", "H23"))
    await g22.send(document("G22", "H23"))
    consigned, refused = await h23.envelopes()
    await h23.report(consigned, "G22")
    await h23.report(refused, "G22", OutcomeKind.REFUSED)
    world.clock.advance(days=1)
    assert await h23.envelopes() == []
