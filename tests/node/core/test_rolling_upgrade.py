"""Two releases at once: a node works on in the database that the instance to follow it has migrated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.store.migrate import MIGRATIONS
from node.store.states import HandoverState, OutboxState
from runtime import database_postgres
from runtime.database import open_database
from runtime.migrations import upgrade
from tests.next_release import of_next_release
from tests.node.core.asking import becomes, handed
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, eventually, open_node
from tests.node.core.world import G22, H23, World, document, envelope
from tests.services.columns import PostgresColumn


@pytest.fixture
async def node(tmp_path: Path, world: World, hub: HubSimulator, postgres_column: PostgresColumn) -> AsyncIterator[Node]:
    """A node whose database no other test is given, since this one changes its schema."""
    async with open_database(postgres_column.place(tmp_path / "node" / "node.db")) as database:
        await upgrade(database, MIGRATIONS)
    async with open_node(tmp_path / "node", world.identity(), hub.url, postgres_column) as node:
        await node.directory.sync(node.hub)
        yield node
    postgres_column.forget()


async def exchanged(node: Node, hub: HubSimulator, world: World, turn: str) -> None:
    """One document sent and accepted, and one received, handed over, receipted and answered."""
    receipts, accepted = len(hub.receipts_reported()), len(hub.accepted)
    sent = await node.submit(document(), key=turn)
    sealed = world.sealed(envelope(document(G22, H23), b"short", submission_id=turn))
    hub.deliver(sealed.data, [H23], [b"short"])
    await becomes(node, sent, OutboxState.ACCEPTED)
    await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    await eventually(lambda: len(hub.receipts_reported()) >= receipts + 2)
    await eventually(lambda: len(hub.accepted) >= accepted + 2)


async def test_an_instance_of_the_release_before_works_on(
    node: Node, hub: HubSimulator, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, while and after the next release migrates under it, what is sent and received goes its way, once."""
    monkeypatch.setattr(database_postgres, "_TABLE_AGAIN", 0.2)
    async with node.running():
        await exchanged(node, hub, world, "before")
        async with open_database(node.database._address) as database:  # type: ignore[attr-defined]  # a server's
            migrating = asyncio.create_task(upgrade(database, of_next_release(MIGRATIONS, tmp_path)))
            await exchanged(node, hub, world, "while")
            assert (await migrating)[1] == "9999"
        await exchanged(node, hub, world, "after")
    assert len(node.adapter.keys) == len(set(node.adapter.keys)) == 3
