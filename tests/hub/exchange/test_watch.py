"""The watch over connections: one alert when a node ceases to fetch, one when it is back."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection
from structlog.testing import capture_logs

from hub.settings_alerts import AlertSettings
from hub.store import agencies, connections, watching
from hub.usecases.alerts import Alerts
from hub.usecases.meters import Meters
from hub.usecases.watch import Watch
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, EntryStatus
from tests.hub.exchange.conftest import HUB, Running, World
from tests.hub.exchange.documents import document
from tests.hub.exchange.nodes import NOW, Node


@pytest.fixture
def alerting() -> AlertSettings:
    """A webhook is set, so that alerts are kept to be sent; nobody sends them here."""
    return AlertSettings.model_validate({"webhook": {"url": "https://alerts.example.test/", "secret_file": "secret"}})


async def documents(world: World) -> list[dict[str, Any]]:
    """The alerts that wait for the webhook, in order."""
    rows = await world.database.read(
        lambda transaction: transaction.exec_driver_sql("SELECT document FROM alerts ORDER BY alert").all()
    )
    return [json.loads(row.document) for row in rows]


async def told(world: World) -> list[tuple[str, str]]:
    return [(alert["event"], alert["connection"]) for alert in await documents(world)]


async def pass_by(world: World, minutes: int, *, fetching: tuple[Node, ...] = ()) -> None:
    """Let time go by, the hub looking every minute and some nodes fetching."""
    for _ in range(minutes):
        world.clock.advance(minutes=1)
        for node in fetching:
            await node.fetch()
        await world.exchange.watch.look()


async def test_one_alert_when_a_node_ceases_and_one_when_it_is_back(
    world: World, g22: Node, h23: Node, h31: Node
) -> None:
    """However long the silence, it is told once, with what waits; and its end once."""
    await pass_by(world, 1, fetching=(g22, h23, h31))
    ceased_at = world.clock()
    await g22.send(document("G22", "H23", "H23.12"))
    await g22.send(document("G22", "H23"))
    await pass_by(world, 14, fetching=(g22, h31))
    assert await told(world) == []
    with capture_logs() as logs:
        await pass_by(world, 20, fetching=(g22, h31))
    (silent,) = await documents(world)
    assert silent == {
        "id": silent["id"],
        "event": "agency.silent",
        "hub": HUB,
        "connection": "haiduong",
        "name": "haiduong",
        "agencies": ["H23", "H23.12", "H23.13"],
        "agencies_count": 3,
        "at": (ceased_at + timedelta(minutes=15)).isoformat(),
        "since": ceased_at.isoformat(),
        "waiting": 3,
        "oldest_waiting_at": ceased_at.isoformat(),
        "reason": None,
    }
    (line,) = [entry for entry in logs if entry["event"] == "agency.silent"]
    assert (line["log_level"], line["connection"], line["since"], line["waiting"]) == (
        "warning",
        "haiduong",
        ceased_at,
        3,
    )
    await pass_by(world, 3, fetching=(g22, h23, h31))
    assert await told(world) == [("agency.silent", "haiduong"), ("agency.back", "haiduong")]
    back = (await documents(world))[1]
    assert (back["since"], back["id"] != silent["id"]) == (silent["since"], True)


async def test_neither_a_restart_nor_an_equal_process_says_it_again(running: Running) -> None:
    """Who is silent stands in the database: another process over it tells neither the silence nor its end twice."""
    async with running() as world:
        h23 = await world.join("haiduong", "H23")
        await pass_by(world, 1, fetching=(h23,))
        await pass_by(world, 20)
    async with running() as world:
        alerts = Alerts(HUB, 100, Meters(CollectorRegistry()), world.exchange.wakeups)
        other = Watch(world.database, alerts, clock=world.clock, silence=timedelta(minutes=15))
        for _ in range(20):
            await pass_by(world, 1)
            await other.look()
        assert await told(world) == [("agency.silent", "haiduong")]
        world.clock.advance(minutes=1)
        world.exchange.watch.fetched("haiduong")
        other.fetched("haiduong")
        await asyncio.gather(world.exchange.watch.look(), other.look())
        assert await told(world) == [("agency.silent", "haiduong"), ("agency.back", "haiduong")]


async def test_a_hub_that_was_down_blames_nobody(running: Running) -> None:
    """Nobody can fetch from a hub that is down: silence counts from its return, and then it does count."""
    async with running() as world:
        h23 = await world.join("haiduong", "H23")
        await pass_by(world, 20, fetching=(h23,))
        world.clock.advance(hours=8)
        await pass_by(world, 14)
        assert await told(world) == []
        await pass_by(world, 3)
        assert await told(world) == [("agency.silent", "haiduong")]


async def test_a_clock_that_goes_back_makes_nobody_silent(world: World, h23: Node) -> None:
    """After a jump back all is counted anew; a node that goes on fetching is never called silent."""
    await pass_by(world, 20, fetching=(h23,))
    world.clock.advance(hours=-5)
    await pass_by(world, 20, fetching=(h23,))
    assert await told(world) == []


@pytest.mark.parametrize("suspended", ["agency", "connection", "never"])
async def test_only_who_is_to_fetch_can_be_silent(world: World, suspended: str) -> None:
    """A connection that is suspended, or serves nobody active, is not missed; else it is."""
    h31 = await world.join("hungyen", "H31")
    await pass_by(world, 1, fetching=(h31,))
    if suspended == "agency":
        await world.set_status("H31", EntryStatus.SUSPENDED)
    elif suspended == "connection":
        await world.database.write(
            lambda transaction: transaction.exec_driver_sql("UPDATE connections SET status = 'suspended'")
        )
    await pass_by(world, 30)
    assert bool(await told(world)) is (suspended == "never")


@pytest.mark.parametrize("ended", ["agency", "connection"])
async def test_who_is_to_fetch_no_more_is_not_counted_as_silent(world: World, ended: str) -> None:
    """The count of the silent falls when a silent connection is suspended or its agencies are retired."""
    h31 = await world.join("hungyen", "H31")
    await pass_by(world, 1, fetching=(h31,))
    await pass_by(world, 30)
    assert await world.database.read(watching.silent_count) == 1
    if ended == "agency":
        await world.set_status("H31", EntryStatus.RETIRED)
    else:
        await world.database.write(
            lambda transaction: connections.set_status(transaction, "hungyen", EntryStatus.SUSPENDED)
        )
    assert await world.database.read(watching.silent_count) == 0


async def test_when_all_cease_at_once_no_writer_waits_for_all_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alerts of many connections are raised in bounded transactions; what waits for them is counted in none of them."""
    names = [f"c{number:02}" for number in range(70)]

    def admit(transaction: Connection) -> None:
        for name in names:
            connections.add(transaction, name, name, at=world.clock())
            code = AgencyCode(f"K{name[1:]}")
            agencies.add(transaction, AgencyEntry(code=code, name=name, connection=name), at=world.clock())
            watching.begin(transaction, name, at=world.clock())

    await world.database.write(admit)
    writes: list[Counter[str]] = [Counter()]
    write, writing = world.database.write, False

    def count(name: str) -> None:
        original = getattr(watching, name)

        def counted(*arguments: Any, **more: Any) -> Any:
            if writing:
                writes[-1][name] += 1
            return original(*arguments, **more)

        monkeypatch.setattr(watching, name, counted)

    async def watched(work: Any) -> Any:
        def inside(transaction: Connection) -> Any:
            nonlocal writing
            writes.append(Counter())
            writing = True
            try:
                return work(transaction)
            finally:
                writing = False

        return await write(inside)

    for name in ("mark_silent", "waiting_for"):
        count(name)
    monkeypatch.setattr(world.database, "write", watched)
    await pass_by(world, 20)
    for name in names:
        world.exchange.watch.fetched(name)
    await pass_by(world, 1)
    for event in ("agency.silent", "agency.back"):
        assert sorted(connection for told_of, connection in await told(world) if told_of == event) == names
    assert sum(each["mark_silent"] for each in writes) == 70
    assert max(each["mark_silent"] for each in writes) <= 50
    assert sum(each["waiting_for"] for each in writes) == 0


async def test_who_enrolled_and_never_fetched_is_missed(world: World) -> None:
    """A node that was let in and never came is told of like one that ceased; one that never enrolled is not."""
    await world.join("hungyen", "H31")
    await world.join("haiduong", "H23")
    await world.database.write(lambda transaction: watching.begin(transaction, "hungyen", at=world.clock()))
    await pass_by(world, 30)
    assert await told(world) == [("agency.silent", "hungyen")]


async def test_a_poll_costs_no_commit(world: World, h23: Node) -> None:
    """Of many fetches one in half a minute is written down, and none of them by the fetch itself."""
    watch = world.exchange.watch

    async def noted() -> object:
        rows = await world.database.read(lambda transaction: watching.rows(transaction, ["haiduong"]))
        return rows["haiduong"].fetched_at if rows else None

    await h23.fetch()
    assert await noted() is None
    await watch.look()
    assert await noted() == NOW
    for _ in range(29):
        world.clock.advance(seconds=1)
        await h23.fetch()
        await watch.look()
        assert await noted() == NOW
    world.clock.advance(seconds=1)
    await h23.fetch()
    await watch.look()
    assert await noted() == world.clock()


async def test_the_last_fetch_counts_though_it_is_not_written_down(world: World, h23: Node) -> None:
    """Silence is counted from the last fetch, not from the last one that was worth a commit."""
    await pass_by(world, 1, fetching=(h23,))
    world.clock.advance(seconds=25)
    await h23.fetch()
    last = world.clock()
    await world.exchange.watch.look()
    await pass_by(world, 14)
    world.clock.advance(seconds=55)
    await world.exchange.watch.look()
    assert await told(world) == []
    world.clock.advance(seconds=5)
    await world.exchange.watch.look()
    world.clock.advance(seconds=30)
    await world.exchange.watch.look()
    (alert,) = await documents(world)
    assert alert["since"] == last.isoformat()


async def test_a_poll_that_waits_is_a_fetch_all_the_while(world: World, h23: Node) -> None:
    """A node in a long poll is in touch: the watch hears of it at each of its looks."""
    waiting = asyncio.create_task(h23.fetch(wait=50))
    await asyncio.sleep(0.05)
    world.clock.advance(minutes=1)
    world.exchange.wakeups.wake(("mailbox", "haiduong"))
    await asyncio.sleep(0.05)
    await world.exchange.watch.look()
    rows = await world.database.read(lambda transaction: watching.rows(transaction, ["haiduong"]))
    assert rows["haiduong"].fetched_at == world.clock()
    world.exchange.mailbox._stop.set()
    world.exchange.wakeups.wake(("mailbox", "haiduong"))
    await waiting


class TestBounds:
    """What waits for the webhook stays few."""

    @pytest.fixture
    def alerting(self) -> AlertSettings:
        return AlertSettings.model_validate({"webhook": {"url": "http://127.0.0.9/", "secret_file": "s", "kept": 10}})

    async def test_past_the_bound_the_oldest_alert_gives_way(self, world: World, h23: Node) -> None:
        """A webhook that takes nothing for years fills no disk; the newest alerts are kept."""
        for _ in range(5):
            await pass_by(world, 1, fetching=(h23,))
            await pass_by(world, 16)
        nine = [alert["id"] for alert in await documents(world)]
        await pass_by(world, 1, fetching=(h23,))
        await pass_by(world, 16)
        ten = [alert["id"] for alert in await documents(world)]
        assert (len(nine), len(ten)) == (9, 10)
        assert ten[:8] == nine[1:]


async def test_many_connections_are_written_down_in_parts(world: World) -> None:
    """However many fetch at once, none is missed and none is called silent before all are written down."""
    names = [f"c{number}" for number in range(250)]

    def admit(transaction: Connection) -> None:
        for number, name in enumerate(names):
            connections.add(transaction, name, name, at=NOW)
            entry = AgencyEntry(code=AgencyCode(f"H23.{number}"), name=name, older_codes=(), connection=name)
            agencies.add(transaction, entry, at=NOW)
            watching.begin(transaction, name, at=NOW)

    await world.database.write(admit)
    # The watch looks, but nobody fetches until a moment before they would all be silent.
    for _ in range(8):
        await world.exchange.watch.look()
        world.clock.advance(minutes=2)
    for name in names:
        world.exchange.watch.fetched(name)
    await world.exchange.watch.look()
    assert await told(world) == []
    assert await world.count("connection_watch WHERE fetched_at IS NOT NULL") == 250


async def test_the_first_codes_stand_for_many(world: World) -> None:
    """An alert about a connection of hundreds of agencies names ten, and says how many there are."""
    node = await world.join("tinh", *(f"H23.{number}" for number in range(300)))
    await pass_by(world, 1, fetching=(node,))
    await pass_by(world, 16)
    (alert,) = await documents(world)
    assert (len(alert["agencies"]), alert["agencies_count"]) == (10, 300)
    assert all(AgencyCode.parse(code) for code in alert["agencies"])
