"""Two releases at once: a hub's process works on in the database that a process of the next release has migrated."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from certs.authority import Authority
from certs.sealing_key import SealingKey
from hub.settings_exchange import RetentionSettings
from hub.store.schema import MIGRATIONS
from hub.usecases.balance import Tally, balance_of
from hub.usecases.retention import Retention
from runtime import database_postgres
from runtime.database import open_database
from runtime.migrations import upgrade
from tests.clocks import certain
from tests.hub.exchange.conftest import Ground, Running, World
from tests.hub.exchange.documents import document
from tests.hub.exchange.nodes import Node
from tests.next_release import of_next_release
from tests.services.columns import PostgresColumn
from transport.wire import OutcomeKind

LONG = bytes(range(256)) * 1200
SHORT = b"A page of text."


@pytest.fixture
def ground(issued: tuple[Authority, SealingKey], tmp_path: Path, postgres_column: PostgresColumn) -> Ground:
    """A database that no other test is given, since this one changes its schema."""
    return Ground(*issued, postgres_column.place(tmp_path / "hub.db"))


@pytest.fixture
async def world(ground: Ground, running: Running, postgres_column: PostgresColumn) -> World:
    async with open_database(ground.database) as database:
        await upgrade(database, MIGRATIONS)
    async with running() as world:
        yield world
    postgres_column.forget()


async def exchanged(world: World, g22: Node, h23: Node) -> None:
    """Four documents: one delivered and handed over, with its attachments; one refused; one expired; one cut short."""
    first = await g22.send(document("G22", "H23", "H23.12", attachments=[LONG, SHORT]), LONG, SHORT)
    await g22.send(document("G22", "H23"))
    for entry, kind in zip(await h23.envelopes(), (OutcomeKind.CONSIGNED, OutcomeKind.REFUSED), strict=True):
        await h23.report(entry, "G22", kind)
    await h23.hand_over(first.message_id, "G22", "H23")
    for entry in await g22.receipts():
        await g22.received(entry)
    assert (await g22.client.message(first.message_id)).message_id == first.message_id
    await g22.send(document("G22", "H23.13", attachments=[SHORT]), SHORT)
    needed = await g22.client.submit(g22.seal(document("G22", "H23", attachments=[LONG[:-1]])).data, {})
    assert needed.uploads
    world.clock.advance(days=31)
    await world.exchange.expiry.run()
    await world.exchange.leavings.drop_submissions()
    retention = Retention(
        world.database, world.exchange.leavings, now=certain(world.clock), settings=RetentionSettings(payload_days=10)
    )
    while await retention.step():
        pass


async def test_a_process_of_the_release_before_works_on(
    world: World, running: Running, g22: Node, h23: Node, tmp_path: Path, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, while and after the next release migrates under it, and beside its process, all goes on and balances."""
    monkeypatch.setattr(database_postgres, "_TABLE_AGAIN", 0.2)
    await exchanged(world, g22, h23)
    async with open_database(world.database._address) as database:  # type: ignore[attr-defined]  # a server's
        migrating = asyncio.create_task(upgrade(database, of_next_release(MIGRATIONS, tmp_path)))
        await exchanged(world, g22, h23)
        assert (await migrating)[1] == "9999"
    await exchanged(world, g22, h23)
    async with running() as newer:
        for node in (g22, h23):
            await newer.node(node.connection, node.codes, node.key)
        # What one has accepted the other hands out.
        await exchanged(world, g22, newer.nodes["haiduong"])
        await exchanged(newer, newer.nodes["vpcp"], h23)
        assert (await balance_of(newer.database)).overall == Tally(20, 10, 5, 5, 0, 0)
    assert await world.count("envelopes") == 1, "that of the last to expire, which is kept for a while"
