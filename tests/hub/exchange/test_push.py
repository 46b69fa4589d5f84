"""Push: what waits is posted to the node, over TLS that both sides hold each other to; a breaker bears with faults."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs

from certs.tls import push_client_context
from congvan.demo.programs import free_port
from hub.settings_alerts import AlertSettings
from hub.store import pushing, watching
from hub.store.pushing import BreakerState, Endpoint
from hub.usecases.balance import balance_of
from hub.usecases.push import Push
from hub.usecases.waking import PUSH
from hub.workers.push import push_service
from schemas.limits import MIB
from tests.hub.exchange.conftest import Running, World
from tests.hub.exchange.documents import document
from tests.hub.exchange.endpoints import Keys, PushedNode
from tests.hub.exchange.nodes import Node
from tests.hub.exchange.test_watch import told
from transport import paths
from transport.wire import EnvelopeEntry, OutcomeResult


@pytest.fixture
def alerting() -> AlertSettings:
    return AlertSettings.model_validate({"webhook": {"url": "https://alerts.example.test/", "secret_file": "secret"}})


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@pytest.fixture
async def pushed(world: World, h23: Node, keys: Keys) -> PushedNode:
    """The node of Hải Dương, which is pushed to; its listener is not up yet."""
    return await PushedNode.admit(world, keys, h23.connection, free_port("127.0.0.1"))


async def steps(push: Push, world: World, number: int) -> None:
    """So many pushes, each as soon as its pause is over."""
    for _ in range(number):
        world.clock.advance(seconds=60)
        while rest := await push.step():
            world.clock.advance(seconds=rest)


async def test_what_waits_is_pushed_and_its_outcome_is_told_as_after_a_fetch(
    world: World, g22: Node, h23: Node, pushed: PushedNode
) -> None:
    """The node gets what a fetch would have brought, leased to it, and reports it by the same lease."""
    sent = await g22.send(document("G22", "H23", "H23.12"))
    async with pushed.up(), pushed.pushing() as push:
        assert await push.step() == 0
        assert await h23.envelopes() == []
        ((entry,),) = [answer.entries for answer in pushed.way_in.taken]
        assert isinstance(entry, EnvelopeEntry)
        assert (entry.message_id, set(entry.recipients)) == (sent.message_id, {"H23", "H23.12"})
        assert (await h23.report(entry, "G22")).result is OutcomeResult.RECORDED
        assert await push.step() > 0
    assert (await balance_of(world.database)).overall.delivered == 2


async def test_a_node_takes_pushes_of_its_own_hub_alone(keys: Keys, pushed: PushedNode) -> None:
    """Neither another connection's node, nor another hub of the same authority, nor who shows nothing may push."""
    body = b'{"epoch": "e", "hub_time": "2026-11-21T02:30:00Z", "directory_version": 1}'
    url = pushed.endpoint.url + paths.PUSH
    statuses = {}
    async with pushed.up(), aiohttp.ClientSession() as session:
        for name, identity in {
            "hub": keys.hub,
            "node": keys.node("hungyen"),
            "other hub": keys.hub_named("hub.other.test"),
        }.items():
            tls = push_client_context(identity.chain_path, identity.key_path, None)
            async with session.post(url, data=body, ssl=tls) as answer:
                statuses[name] = answer.status
        assert statuses == {"hub": 204, "node": 403, "other hub": 403}
        with pytest.raises(aiohttp.ClientError):
            await session.post(url, data=body, ssl=False)


async def test_a_hub_speaks_only_to_who_shows_the_connections_certificate(
    world: World, g22: Node, h23: Node, h31: Node, keys: Keys
) -> None:
    """Another enrolled node at that address gets not a byte of what waits, and the mail is there to be fetched."""
    stranger = await PushedNode.admit(world, keys, h31.connection, free_port("127.0.0.1"))
    await g22.send(document("G22", "H23"))
    misled = Endpoint(h23.connection, stranger.endpoint.url, keys.fingerprint(h23.connection))
    await world.database.write(partial(pushing.put, connection=h23.connection, url=misled.url, at=world.clock()))
    with capture_logs() as logs:
        async with stranger.up(), keys.client(misled) as client:
            await Push(world.exchange.push, misled, client).step()
    assert [entry["rule"] for entry in logs if entry["event"] == "push.failed"] == ["push-certificate"]
    assert stranger.way_in.taken == []
    assert len(await h23.envelopes()) == 1


async def test_what_failed_to_be_pushed_is_there_to_be_fetched_at_once(
    world: World, g22: Node, h23: Node, pushed: PushedNode
) -> None:
    """No lease is left on it, no attempt is counted, and who waits in a poll is woken."""
    polling = asyncio.create_task(h23.fetch(wait=50, limit=1))
    await asyncio.sleep(0.05)
    answer = await g22.send(document("G22", "H23"))
    (fetched,) = (await asyncio.wait_for(polling, 10)).entries
    world.clock.advance(minutes=2)
    async with pushed.pushing() as push:
        await push.step()
    (again,) = await h23.envelopes()
    assert again.entry == fetched.entry
    (delivery,) = (await g22.client.message(answer.message_id)).deliveries
    assert delivery.attempts == 0


async def test_the_breaker_opens_is_probed_and_closes_and_each_is_told_once(
    world: World, g22: Node, h23: Node, pushed: PushedNode
) -> None:
    """Five failures open it: nothing is sent then but a probe, rarer each time; one that comes through closes it."""
    await g22.send(document("G22", "H23"))
    async with pushed.pushing() as push:
        await steps(push, world, 4)
        assert (await pushed.breaker()).state is BreakerState.CLOSED
        await steps(push, world, 1)
        opened = await pushed.breaker()
        assert (opened.state, await told(world)) == (BreakerState.OPEN, [("push.opened", "haiduong")])
        assert opened.probe_at is not None
        async with pushed.up():
            assert 0 < await push.step() <= 12
            assert pushed.way_in.taken == []
        for _ in range(3):
            await steps(push, world, 1)
        assert (await pushed.breaker()).openings == 4
        async with pushed.up():
            await steps(push, world, 1)
            assert len(pushed.way_in.entries) == 1
    closed = await pushed.breaker()
    assert (closed.state, closed.failures, closed.openings) == (BreakerState.CLOSED, 0, 0)
    assert await told(world) == [("push.opened", "haiduong"), ("push.closed", "haiduong")]


async def test_a_clock_that_goes_back_keeps_no_endpoint_waiting(world: World, pushed: PushedNode) -> None:
    """Neither a pause nor an open breaker lasts longer than the longest wait, whatever the clock did."""
    async with pushed.pushing() as push:
        await steps(push, world, 1)
        world.clock.advance(hours=-5)
        assert await push.step() == 0
        await steps(push, world, 3)
        assert (await pushed.breaker()).state is BreakerState.OPEN
        world.clock.advance(hours=-5)
        async with pushed.up():
            assert await push.step() == 0
    assert (await pushed.breaker()).state is BreakerState.CLOSED


async def test_a_restart_finds_the_breaker_as_it_was(running: Running, keys: Keys) -> None:
    """An open breaker stays open, half-open ones are probed again, and nothing is told a second time."""
    port = free_port("127.0.0.1")
    async with running() as world:
        node = await world.join("haiduong", "H23")
        pushed = await PushedNode.admit(world, keys, node.connection, port)
        async with pushed.pushing() as push:
            await steps(push, world, 5)
        opened = await pushed.breaker()
    async with running() as world:
        again = PushedNode(world, keys, pushed.endpoint, pushed.way_in, pushed.contact)
        async with again.up(), again.pushing() as push:
            assert await push.step() > 0
            assert (await again.breaker()) == opened
            assert opened.probe_at is not None
            world.clock.now = opened.probe_at
            # A process claims the probe and ends with it; after a while another makes it.
            until = world.clock.now + world.exchange.push.terms.first
            claim = partial(pushing.claim_probe, connection="haiduong", at=world.clock(), until=until)
            assert await world.database.write(claim)
            assert not await world.database.write(claim)
            assert await push.step() > 0
            assert pushed.way_in.taken == []
            world.clock.now = until
            assert await push.step() == 0
            assert (len(pushed.way_in.taken), pushed.way_in.entries) == (1, [])
        assert (await again.breaker()).state is BreakerState.CLOSED
        assert await told(world) == [("push.opened", "haiduong"), ("push.closed", "haiduong")]


async def test_a_busy_node_is_left_alone_and_is_no_fault(
    world: World, g22: Node, h23: Node, pushed: PushedNode
) -> None:
    """A node without a free place says when to come again; the batch is free at once, the breaker counts nothing."""
    await g22.send(document("G22", "H23"))
    pushed.way_in.held = asyncio.Event()
    async with pushed.up(batches=1), pushed.pushing() as first, pushed.pushing() as second:
        working = asyncio.create_task(first.step())
        await pushed.way_in.has(1)
        await g22.send(document("G22", "H23"))
        await second.step()
        assert 0 < await second.step() <= 1
        assert len(await h23.envelopes()) == 1
        pushed.way_in.held.set()
        await working
    breaker = await pushed.breaker()
    assert (breaker.state, breaker.failures, await told(world)) == (BreakerState.CLOSED, 0, [])


async def test_a_node_whose_disk_is_full_takes_nothing_and_says_when_to_come(
    world: World, g22: Node, h23: Node, pushed: PushedNode
) -> None:
    """What passes by itself is busy too: a minute's rest, and nothing counted against the endpoint."""
    await g22.send(document("G22", "H23"))
    pushed.way_in.is_full = True
    async with pushed.up(), pushed.pushing() as push:
        await push.step()
        assert await push.step() == 60
    assert pushed.way_in.taken == []
    assert (await pushed.breaker()).failures == 0
    assert len(await h23.envelopes()) == 1


async def test_a_push_longer_than_the_node_takes_is_refused_unread(
    world: World, g22: Node, h23: Node, pushed: PushedNode
) -> None:
    """The limit holds while reading; the hub counts it as a failure and the mail can be fetched."""
    content = bytes(60_000)
    for _ in range(20):
        await g22.send(document("G22", "H23", attachments=[content]), content)
    async with pushed.up(body_bytes=MIB), pushed.pushing() as push:
        await push.step()
    assert pushed.way_in.taken == []
    assert ((await pushed.breaker()).last_error or "").startswith("push-")
    assert len(await h23.envelopes()) == 20


@pytest.mark.parametrize("body", [b"", b"{", b'{"epoch": 1}', b"\xff" * 100])
async def test_what_is_no_batch_is_refused(keys: Keys, pushed: PushedNode, body: bytes) -> None:
    """Bytes that are no MailboxAnswer are answered with a problem, whoever sends them."""
    tls = push_client_context(keys.hub.chain_path, keys.hub.key_path, None)
    url = pushed.endpoint.url + paths.PUSH
    async with pushed.up(), aiohttp.ClientSession() as session, session.post(url, data=body, ssl=tls) as answer:
        problem = await answer.json(content_type=paths.PROBLEM_TYPE)
    assert (answer.status, problem["code"]) == (400, "request-malformed")


async def test_a_node_that_does_not_answer_is_given_up_in_time(
    world: World, g22: Node, h23: Node, pushed: PushedNode
) -> None:
    """A push has its time; then the batch is free, though the node may have it: it answers a repeat."""
    await g22.send(document("G22", "H23"))
    pushed.way_in.held = asyncio.Event()
    async with pushed.up(), pushed.pushing(patience=0.3) as push:
        await push.step()
        assert len(pushed.way_in.entries) == 1
        assert len(await h23.envelopes()) == 1
        pushed.way_in.held.set()
    assert ((await pushed.breaker()).last_error or "").startswith("push-unreachable")


async def test_a_push_that_the_hubs_stop_cuts_off_leaves_nothing_leased(
    world: World, g22: Node, h23: Node, pushed: PushedNode
) -> None:
    """What was under way when the hub stopped is offered at once after the next start, not when its lease lapses."""
    await g22.send(document("G22", "H23"))
    pushed.way_in.held = asyncio.Event()
    async with pushed.up(), pushed.pushing() as push:
        under_way = asyncio.create_task(push.step())
        await pushed.way_in.has(1)
        under_way.cancel()
        with pytest.raises(asyncio.CancelledError):
            await under_way
        pushed.way_in.held.set()
    assert len(await h23.envelopes()) == 1
    assert (await pushed.breaker()).failures == 0


async def test_an_idle_node_hears_of_the_hub_and_counts_as_fetching(world: World, pushed: PushedNode) -> None:
    """Every minute an empty push: the node knows that pushes come, the hub that the node is there."""
    async with pushed.up(), pushed.pushing() as push:
        for _ in range(30):
            while not await push.step():
                pass
            await world.exchange.watch.look()
            world.clock.advance(minutes=1)
        assert pushed.contact.works
    assert await told(world) == []
    rows = await world.database.read(partial(watching.rows, of=["haiduong"]))
    assert rows["haiduong"].fetched_at == world.clock.now - timedelta(minutes=1)


async def test_the_service_follows_what_the_operator_sets(
    world: World, g22: Node, h23: Node, keys: Keys, pushed: PushedNode
) -> None:
    """It pushes as soon as something waits, and pushes no more when the endpoint is taken away."""
    stop = asyncio.Event()
    tls = push_client_context(keys.hub.chain_path, keys.hub.key_path, None)
    service = asyncio.create_task(push_service(world.exchange.push, tls, recheck=60)(stop))

    async with pushed.up():
        await g22.send(document("G22", "H23"))
        await pushed.way_in.has(1)
        await g22.send(document("G22", "H23"))
        await pushed.way_in.has(2)
        await world.database.write(partial(pushing.remove, connection="haiduong"))
        world.exchange.wakeups.wake(PUSH)
        await asyncio.sleep(0.2)
        await g22.send(document("G22", "H23"))
        await asyncio.sleep(0.3)
        assert len(pushed.way_in.entries) == 2
        assert len(await h23.envelopes()) == 1
        stop.set()
        world.exchange.wakeups.wake_all()
        await asyncio.wait_for(service, 30)
