"""What the hub counts and what it gauges, as Prometheus reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, event

from hub.http.gauges import HubMetrics
from hub.store import figures, pushing
from hub.usecases.figures import FiguresOfNow
from hub.usecases.meters import Meters
from schemas.errors import Unavailable
from schemas.message import Priority
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import document
from tests.hub.exchange.nodes import Node, rejection
from tests.hub.exchange.test_watch import pass_by
from tests.services.columns import ON_SQLITE
from transport.wire import OutcomeKind


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def meters(registry: CollectorRegistry) -> Meters:
    return Meters(registry)


@pytest.fixture
def measured(world: World, registry: CollectorRegistry) -> HubMetrics:
    return HubMetrics(registry, FiguresOfNow(world.database, world.clock), world.clock)


async def values(measured: HubMetrics) -> dict[str, float]:
    """Every sample but 0 and the times that counters began, by name and labels without the prefix."""
    text = (await measured.text()).decode()
    samples = re.findall(r"^congvan_hub_(\S+) (\S+)$", text, flags=re.MULTILINE)
    return {name: float(value) for name, value in samples if float(value) and "_created" not in name}


async def test_the_way_of_documents_is_counted(world: World, measured: HubMetrics, g22: Node, h23: Node) -> None:
    """Accepted, refused by rule, leased, lapsed, ended by state, receipts by event: each where it happens, once."""
    await g22.send(document("G22", "H23", priority=Priority.EXPRESS))
    sealed = g22.seal(document("G22", "H23", "H23.12"))
    await g22.client.submit(sealed.data, {})
    await g22.client.submit(sealed.data, {})
    await rejection(g22.send(document("G22", "H99")))
    await h23.envelopes()
    world.clock.advance(minutes=5)
    (lapsed,) = await h23.envelopes()
    (other,) = await h23.envelopes()
    await h23.report(lapsed, "G22")
    await h23.report(lapsed, "G22")
    await h23.report(other, "G22", OutcomeKind.REFUSED, codes=("H23",))
    await h23.hand_over(lapsed.message_id, "G22", "H23")
    world.clock.advance(days=40)
    await world.exchange.expiry.run()
    counted = {name: value for name, value in (await values(measured)).items() if "_total" in name}
    assert counted == {
        'messages_accepted_total{lane="0"}': 1,
        'messages_accepted_total{lane="3"}': 1,
        'submissions_refused_total{rule="recipient-unknown"}': 1,
        "leases_total": 4,
        "leases_lapsed_total": 2,
        'deliveries_ended_total{state="delivered"}': 1,
        'deliveries_ended_total{state="refused"}': 1,
        'deliveries_ended_total{state="expired"}': 1,
        'receipts_entered_total{event="ContentConsignment"}': 1,
        'receipts_entered_total{event="ContentConsignmentFailure"}': 1,
        'receipts_entered_total{event="ContentHandover"}': 1,
    }


async def test_what_waits_is_gauged_by_lane(world: World, measured: HubMetrics, g22: Node, h23: Node) -> None:
    """How many messages wait and how long the oldest; what is fetched and answered no longer does."""
    for priority in (Priority.NORMAL, Priority.NORMAL, Priority.EXPRESS):
        await g22.send(document("G22", "H23", priority=priority))
        world.clock.advance(minutes=1)
    waiting = {name: value for name, value in (await values(measured)).items() if "waiting" in name}
    assert waiting == {
        'messages_waiting{lane="0"}': 1,
        'messages_waiting{lane="3"}': 2,
        'oldest_waiting_seconds{lane="0"}': 60,
        'oldest_waiting_seconds{lane="3"}': 180,
    }
    for entry in await h23.envelopes():
        await h23.report(entry, "G22")
    world.clock.advance(seconds=30)
    left = {name: value for name, value in (await values(measured)).items() if "waiting" in name}
    # The three receipts wait for their sender.
    assert left == {'oldest_waiting_seconds{lane="0"}': 30, 'oldest_waiting_seconds{lane="3"}': 30}


async def test_silence_and_breakers_are_gauged(world: World, measured: HubMetrics, h23: Node) -> None:
    """Silent connections, and push endpoints by state."""
    put = partial(pushing.put, connection="haiduong", url="https://node.example", at=world.clock())
    await world.database.write(put)
    await pass_by(world, 1, fetching=(h23,))
    await pass_by(world, 16)
    gauged = await values(measured)
    assert gauged["connections_silent"] == 1
    assert gauged['push_breakers{state="closed"}'] == 1
    assert gauged['alerts_total{event="agency.silent"}'] == 1


async def test_the_database_is_asked_no_oftener_than_every_ten_seconds(
    world: World, measured: HubMetrics, g22: Node, h23: Node
) -> None:
    """However many scrape, the gauges are taken once, and fresh again when their time is over."""
    assert 'messages_waiting{lane="3"}' not in await values(measured)
    await g22.send(document("G22", "H23"))
    world.clock.advance(seconds=9)
    assert 'messages_waiting{lane="3"}' not in await values(measured)
    world.clock.advance(seconds=1)
    assert (await values(measured))['messages_waiting{lane="3"}'] == 1


async def test_a_database_that_fails_takes_the_gauges_and_leaves_the_counters(
    world: World, measured: HubMetrics, meters: Meters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Monitoring must see a hub in trouble: no gauge is told that nobody knows, every counter is."""
    meters.lapses.inc()

    async def failing(_question: Callable[[Connection], object]) -> object:
        raise Unavailable("database-busy", "Held.")

    monkeypatch.setattr(world.database, "read", failing)
    assert await values(measured) == {"leases_lapsed_total": 1}


@contextmanager
def explaining(world: World) -> Iterator[list[str]]:
    """How SQLite answers each question that is asked inside."""
    told: list[str] = []

    @event.listens_for(world.database._reader, "before_cursor_execute")
    def explain(connection: Connection, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.startswith("SELECT"):
            rows = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            told.extend(row[3] for row in rows)

    yield told
    event.remove(world.database._reader, "before_cursor_execute", explain)


@ON_SQLITE
async def test_no_gauge_reads_what_is_past(world: World, g22: Node, h23: Node) -> None:
    """Each is answered from an index over what is open, or from a table of few rows: history costs nothing."""
    await g22.send(document("G22", "H23"))
    with explaining(world) as plans:
        await world.database.read(figures.of_now)
    scans = [plan for plan in plans if plan.startswith("SCAN")]
    assert plans
    assert [
        plan
        for plan in scans
        if "INDEX ix_mailbox_entries_" not in plan
        and not plan.startswith(
            ("SCAN connection_watch USING", "SCAN connections", "SCAN alerts", "SCAN push_endpoints", "SCAN work")
        )
    ] == []


async def test_labels_are_few(measured: HubMetrics, world: World, g22: Node, h23: Node) -> None:
    """No series is made of a code, an id or a connection."""
    await g22.send(document("G22", "H23"))
    await rejection(g22.send(document("G22", "H99")))
    world.clock.advance(days=1)
    text = (await measured.text()).decode()
    labels = set(re.findall(r'="([^"]*)"', text))
    assert {"0", "3", "recipient-unknown", "closed"} <= labels
    assert not any(re.search(r"H23|H99|G22|haiduong|[0-9a-f]{16}", label) for label in labels)
    assert timedelta(days=1).total_seconds() == (await values(measured))['oldest_waiting_seconds{lane="3"}']
