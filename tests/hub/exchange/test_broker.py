"""A hub of several processes on one database, with a real RabbitMQ between them: it hints, and the database decides."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import aio_pika
import aiohttp
import pytest
from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from certs.tls import push_client_context
from congvan.demo.programs import free_port
from hub.linking import REDELIVERIES, BrokerLink
from hub.settings_alerts import AlertSettings
from hub.settings_exchange import ExchangeSettings
from hub.store import fanouts, work
from hub.usecases.fanout import Fanout
from hub.usecases.outbox import Outbox
from hub.workers.push import push_service
from runtime.database import DatabaseFailed
from runtime.lifecycle import Service
from tests.hub.exchange.conftest import Running, World
from tests.hub.exchange.documents import document
from tests.hub.exchange.endpoints import Keys, PushedNode
from tests.hub.exchange.linked import TERMS, channel_to, forget, linked, until, until_count, until_held, until_told
from tests.hub.exchange.nodes import Node, rejection
from tests.hub.exchange.test_watch import told
from tests.services.columns import ON_SQLITE
from tests.services.rabbitmq import RabbitMQ
from transport.client import HubClient
from transport.wire import EnvelopeEntry

UNITS = tuple(f"H23.{number}" for number in range(1, 6))

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def settings() -> ExchangeSettings:
    """Fan-out in small batches; a waiting poll depends on being woken."""
    return ExchangeSettings.model_validate(
        {"submissions": {"spare_bytes": 0}, "deliveries": {"batch": 2}, "mailbox": {"recheck_seconds": 60}}
    )


@pytest.fixture
def alerting() -> AlertSettings:
    return AlertSettings.model_validate({"webhook": {"url": "https://alerts.example.test/", "secret_file": "secret"}})


@pytest.fixture
async def world(running: Running, rabbitmq: RabbitMQ) -> AsyncIterator[World]:
    async with running(outbox=True) as world:
        yield world
        await forget(rabbitmq)


@pytest.fixture
async def units(world: World) -> Node:
    """A node that serves five units of Hải Dương: more than two batches of deliveries."""
    return await world.join("haiduong", *UNITS)


async def _at(node: Node, other: World, session: aiohttp.ClientSession) -> Node:
    """The same node, talking to another process of the hub."""
    return Node(node.connection, node.codes, node.key, HubClient(session, other.url), session, node.clock)


def _session(node: Node) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(headers=node.session.headers, auto_decompress=False)


async def test_a_poll_at_one_process_is_answered_when_another_accepts(
    running: Running, world: World, g22: Node, h23: Node, rabbitmq: RabbitMQ
) -> None:
    """A node that waits at process B is woken at once by what process A takes in, long before B would look."""
    async with (
        running(outbox=True) as other,
        linked(world, rabbitmq),
        linked(other, rabbitmq),
        _session(h23) as session,
    ):
        waiting = asyncio.create_task((await _at(h23, other, session)).fetch(wait=50))
        await until(lambda: bool(other.exchange.wakeups._events.get(("mailbox", "haiduong"))))
        sent = await g22.send(document("G22", "H23"))
        async with asyncio.timeout(30):
            (entry,) = (await waiting).entries
        assert entry.message_id == sent.message_id


async def test_a_large_fan_out_is_announced_and_done_once(
    world: World, g22: Node, units: Node, rabbitmq: RabbitMQ
) -> None:
    """What an acceptance leaves to write is written on a hint, and then nothing of it is left in the outbox."""
    async with linked(world, rabbitmq):
        await g22.send(document("G22", *UNITS))
        await until_count(world, "work", 0)
        assert await world.count("deliveries") == len(UNITS)
        assert await world.count("fanout_batches") == 0
    (entry,) = await units.envelopes()
    assert entry.recipients == UNITS
    assert world.exchange.push.meters.work_announced.labels("fanout")._value.get() == 1
    assert world.exchange.push.meters.work_ended.labels("fanout", "done")._value.get() == 1


async def test_work_survives_a_process_that_dies_between_commit_and_announcement(
    running: Running, world: World, g22: Node, units: Node, rabbitmq: RabbitMQ
) -> None:
    """The row was committed with the message: the next process announces it and does it."""
    await g22.send(document("G22", *UNITS))
    assert await world.count("work") == 1
    async with running(outbox=True) as next_process, linked(next_process, rabbitmq):
        await until_count(next_process, "work", 0)
        assert await next_process.count("deliveries") == len(UNITS)


@ON_SQLITE
async def test_all_goes_on_while_the_broker_is_killed_wiped_and_started_again(
    world: World, g22: Node, units: Node, rabbitmq: RabbitMQ
) -> None:
    """Under traffic: every document is taken and fanned out, readiness says what is missing, and by the same link all
    is declared anew at a broker that knows nothing any more, and hints flow again."""
    meters = world.exchange.push.meters
    sent: list[str] = []

    async def send() -> None:
        while True:
            sent.append((await g22.send(document("G22", *UNITS))).message_id)
            await asyncio.sleep(0.2)

    async with linked(world, rabbitmq) as one:
        traffic = asyncio.create_task(send())
        await until(lambda: len(sent) > 1)
        await asyncio.to_thread(rabbitmq.kill)
        await one.working(is_working=False)
        assert (await rejection(one.link.broker.trial())).code == "broker-away"
        before = len(sent)
        await until(lambda: len(sent) > before + 2)
        await until_count(world, "fanout_batches", 0)
        await asyncio.to_thread(rabbitmq.wipe)
        await asyncio.to_thread(rabbitmq.start)
        await one.working()
        await one.link.broker.trial()
        announced = meters.work_announced.labels("fanout")._value.get()
        await until(lambda: meters.work_announced.labels("fanout")._value.get() > announced)
        traffic.cancel()
        await asyncio.wait([traffic])
        await until_count(world, "work", 0)
    number = await world.count("messages")
    assert number in (len(sent), len(sent) + 1)
    assert await world.count("deliveries") == number * len(UNITS)
    assert await world.count("mailbox_entries") == number


async def test_hints_that_the_broker_lost_are_announced_again(
    world: World, g22: Node, units: Node, rabbitmq: RabbitMQ
) -> None:
    """Work that was confirmed by a broker that has been wiped since is done after the next connection."""
    await g22.send(document("G22", *UNITS))
    await world.database.write(partial(_announce_to_nobody, at=world.clock()))
    async with linked(world, rabbitmq):
        await until_count(world, "work", 0)
        assert await world.count("fanout_batches") == 0


def _announce_to_nobody(transaction: Connection, at: datetime) -> None:
    claimed = work.claim_due(transaction, at=at, until=at, most=10)
    work.published(transaction, [each.work for each in claimed], at=at)


#: A delivery that is there already stands in the way of the fan-out that is to write it.
_BREAK = (
    "INSERT INTO deliveries (message, recipient, connection, state, updated_at)"
    " SELECT message, 'H23.5', 'haiduong', 'queued', 0 FROM messages"
)
_MEND = "DELETE FROM deliveries WHERE updated_at = 0"


def _execute(statement: str, transaction: Connection) -> None:
    transaction.exec_driver_sql(statement)


async def test_work_that_always_fails_is_set_aside_with_one_alert_and_others_go_on(
    world: World, g22: Node, units: Node, rabbitmq: RabbitMQ
) -> None:
    """After its redeliveries a hint lies in the dead-letter queue; mended, the work is done within the hour's retry."""
    await g22.send(document("G22", *UNITS))
    await world.database.write(partial(_execute, _BREAK))
    # Captured: a traceback laid out for a terminal takes seconds.
    with capture_logs() as logs:
        async with linked(world, rabbitmq):
            await _see_it_through(world, g22, rabbitmq)
    assert [line["event"] for line in logs].count("work.failed") == REDELIVERIES + 1
    assert [line["event"] for line in logs].count("work.stuck") == 1


async def test_work_that_the_database_refuses_is_set_aside_too(
    world: World, g22: Node, units: Node, rabbitmq: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that it fails on each time are no outage: the hint ends as a dead letter with its one alert."""
    await g22.send(document("G22", *UNITS))
    newest = text("SELECT max(message) FROM messages")
    broken = await world.database.read(lambda transaction: transaction.scalar(newest))
    step_of = Fanout.step_of

    async def failing(fanout: Fanout, message: int) -> bool:
        if message == broken:
            raise DatabaseFailed("database-failed", "The database failed: invalid input syntax.")
        return await step_of(fanout, message)

    monkeypatch.setattr(Fanout, "step_of", failing)
    with capture_logs() as logs:
        async with linked(world, rabbitmq):
            await until(lambda: world.exchange.push.meters.alerts.labels("work.stuck")._value.get() == 1)
            await g22.send(document("G22", *UNITS))
            await until_count(world, "work", 1)
            assert await told(world) == [("work.stuck", "vpcp")]
    assert [line["event"] for line in logs].count("work.failed") == REDELIVERIES + 1
    # Without a broker it is left alone, and what came later is written.
    await g22.send(document("G22", *UNITS))
    while await world.exchange.fanout.step():
        pass
    assert await world.database.read(partial(fanouts.next_message, but=[])) == broken


async def _see_it_through(world: World, g22: Node, rabbitmq: RabbitMQ) -> None:
    await until(lambda: world.exchange.push.meters.alerts.labels("work.stuck")._value.get() == 1)
    await until_held(rabbitmq, "congvan.dead", 1)
    await g22.send(document("G22", *UNITS))
    await until_count(world, "work", 1)
    assert await told(world) == [("work.stuck", "vpcp")]

    await world.database.write(partial(_execute, _MEND))
    world.clock.advance(hours=1)
    await until_count(world, "work", 0)
    assert await told(world) == [("work.stuck", "vpcp"), ("work.done", "vpcp")]


async def test_a_message_that_no_queue_takes_is_not_taken_for_announced(world: World, rabbitmq: RabbitMQ) -> None:
    """An unroutable message comes back, and one that a queue rejects is not confirmed: both are errors."""
    async with linked(world, rabbitmq) as one, channel_to(rabbitmq) as channel:
        broker = one.link.broker
        full = await channel.declare_queue(
            exclusive=True, arguments={"x-max-length": 0, "x-overflow": "reject-publish"}
        )
        await full.bind("congvan.fanout", "full.#")
        assert (await rejection(broker.publish("congvan.fanout", "full.x", b"{}"))).code == "broker-refused"
        assert not broker.is_working
        await channel.queue_delete("congvan.fanout")
        await full.unbind("congvan.fanout", "full.#")
        assert (await rejection(broker.publish("congvan.fanout", "H23", b"{}"))).code == "broker-refused"


async def test_of_two_processes_one_pushes_what_came(
    running: Running, world: World, g22: Node, h23: Node, rabbitmq: RabbitMQ
) -> None:
    """Both know the endpoint, and what waits for it is pushed by the one that its hint comes to."""
    keys = Keys(world.folder)
    pushed = await PushedNode.admit(world, keys, h23.connection, free_port("127.0.0.1"))
    tls = push_client_context(keys.hub.chain_path, keys.hub.key_path, None)

    def pushes(at: World) -> Callable[[BrokerLink], dict[str, Service]]:
        return lambda link: {"push": push_service(at.exchange.push, tls, hints=link.hints, recheck=0.2)}

    async with (
        pushed.up(),
        running(outbox=True) as other,
        linked(world, rabbitmq, pushes(world)),
        linked(other, rabbitmq, pushes(other)),
    ):
        sent = [(await g22.send(document("G22", "H23"))).message_id for _ in range(3)]
        await pushed.way_in.has(3)
        found = [entry for answer in pushed.way_in.taken for entry in answer.entries]
        assert [entry.message_id for entry in found if isinstance(entry, EnvelopeEntry)] == sent
        assert world.exchange.push.meters.work_ended.labels("push", "done")._value.get() > 0
        # Idle again, its next push is on the books: the greeting.
        await until_told(lambda: _is_put_off(world))


async def _is_put_off(world: World) -> bool:
    idle = await world.database.read(partial(work.idle_pushes, at=world.clock()))
    return [each.subject for each in idle] == ["haiduong"]


async def test_work_that_was_claimed_and_never_announced_is_announced_later(
    world: World, g22: Node, units: Node
) -> None:
    """A process that dies between its claim and the broker's confirm leaves work that is due again after a minute."""
    await g22.send(document("G22", *UNITS))
    await world.database.write(
        partial(work.claim_due, at=world.clock(), until=world.clock() + timedelta(minutes=1), most=10)
    )
    taking = _Taking()
    outbox = Outbox(
        world.database,
        taking,
        world.exchange.alerts,
        world.exchange.push.meters,
        clock=world.clock,
        settings=world.exchange.settings,
        terms=TERMS,
    )
    assert not await outbox.announce_due()
    world.clock.advance(minutes=1)
    assert await outbox.announce_due()
    assert taking.topics == ["G22"]
    # The broker has it now: it is not announced again while the queue may still hold it.
    world.clock.advance(hours=1)
    assert not await outbox.announce_due()
    taking.held = 1
    await outbox.refill()
    assert not await outbox.announce_due()
    taking.held = 0
    await outbox.refill()
    assert await outbox.announce_due()


@dataclass
class _Taking:
    """A broker that takes everything, and holds what it is told to."""

    topics: list[str] = field(default_factory=list)
    held: int = 0
    is_working: bool = True

    async def publish(self, exchange: str, topic: str, body: bytes) -> None:
        self.topics.append(topic)

    async def waiting(self, queue: str) -> int:
        return self.held


HOSTILE = (
    b'["?"]',
    b"[" * 100_000,
    b'{"kind": "fanout", "subject": ' + b"[" * 100_000,
    b'{"kind": "fanout", "subject": "1\\u0000"}',
    b'{"kind": "fanout", "subject": "\\ud800"}',
    b'{"kind": "fanout", "subject": 7}',
    b'{"kind": "fanout", "subject": "' + b"7" * 100_000 + b'"}',
    b'{"kind": ["fanout"], "subject": "7"}',
)


async def test_foreign_messages_are_dead_letters_at_once(
    world: World, g22: Node, units: Node, rabbitmq: RabbitMQ
) -> None:
    """What is no hint of ours, however it is made, is kept for the operator, and takes no place from work."""
    async with linked(world, rabbitmq) as one:
        for body in HOSTILE * 2:
            await one.link.broker.publish("congvan.fanout", "H23", body)
        await until_held(rabbitmq, "congvan.dead", 2 * len(HOSTILE))
        await g22.send(document("G22", *UNITS))
        await until_count(world, "work", 0)


async def test_foreign_announcements_are_passed_over(
    world: World, rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    """What is no wake-up of ours, however it is made, harms nothing, and the next wake-up is heard."""
    async with linked(world, rabbitmq), channel_to(rabbitmq) as channel:
        exchange = await channel.get_exchange("congvan.wakeups")
        with world.exchange.wakeups.listen("the last") as event:
            for body in (*HOSTILE, b'"the last"'):
                await exchange.publish(aio_pika.Message(body), "H23")
            async with asyncio.timeout(60):
                await event.wait()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
