"""The world of these tests, made once: keys and certificates. Hub and node are each test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, open_node
from tests.node.core.world import World
from tests.services.columns import DatabaseColumn


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture
def world(keys: World) -> Iterator[World]:
    """The world with the first version of its directory; what a test publishes is forgotten after it."""
    yield keys
    del keys.versions[1:]


@pytest.fixture
async def hub(world: World) -> AsyncIterator[HubSimulator]:
    async with HubSimulator(world).serve() as hub:
        yield hub


@pytest.fixture
async def node(tmp_path: Path, world: World, hub: HubSimulator, column: DatabaseColumn) -> AsyncIterator[Node]:
    """A node that has the directory and runs nothing yet."""
    async with open_node(tmp_path / "node", world.identity(), hub.url, column) as node:
        await node.directory.sync(node.hub)
        yield node
