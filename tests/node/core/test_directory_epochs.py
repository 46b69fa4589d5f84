"""The directory of a restored hub: in a new epoch, and on its directory key's word alone, a node goes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from certs.errors import DirectoryRejected
from node.usecases.directory import DirectoryCopy
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node
from tests.node.core.world import OWN, World


def agency(code: str) -> AgencyEntry:
    return AgencyEntry(code=AgencyCode(code), name=code, connection=OWN)


@contextmanager
def restored_to(hub: HubSimulator, world: World, version: int, epoch: str = "epoch-2") -> Iterator[None]:
    """Inside, the hub's directory ends with `version`, in a new epoch."""
    del world.versions[version:]
    hub.epoch = epoch
    yield


@pytest.fixture
async def ahead(node: Node, world: World) -> Node:
    """A node at version 4: each version after the first has brought an agency."""
    for code in ("H23.2", "H23.3", "H23.4"):
        world.publish(agencies=[agency(code)])
    assert await node.directory.sync(node.hub) == 4
    return node


async def codes(node: Node) -> set[str]:
    return {code.value for code in node.directory.served_codes} - {"H23", "H23.12"}


async def test_in_a_new_epoch_a_node_goes_back_to_the_newest_shared_version(
    ahead: Node, hub: HubSimulator, world: World
) -> None:
    """What came after the shared version is void, what it had replaced holds again, and the hub's versions follow."""
    with restored_to(hub, world, 2):
        world.publish(agencies=[agency("H23.9")])
        assert await ahead.directory.sync(ahead.hub) == 3
        assert await codes(ahead) == {"H23.2", "H23.9"}
        assert ahead.directory.agrees_with("epoch-2")
        world.publish(agencies=[agency("H23.10")])
        assert await ahead.directory.sync(ahead.hub) == 4


async def test_what_another_process_took_back_is_forgotten_here_too(
    ahead: Node, hub: HubSimulator, world: World
) -> None:
    """In another history the same number is of another version: what the void one said is remembered by none."""
    beside = DirectoryCopy(ahead.database, ahead.identity, ahead.clock)
    await beside.load()

    async def known(code: str) -> bool:
        found = await ahead.database.read(lambda transaction: beside.standing(transaction, AgencyCode(code), 4))
        return found is not None

    assert [await known(code) for code in ("H23.4", "H23.10")] == [True, False]
    with restored_to(hub, world, 2):
        for code in ("H23.9", "H23.10"):
            world.publish(agencies=[agency(code)])
        assert await ahead.directory.sync(ahead.hub) == 4
    await beside.load()
    assert [await known(code) for code in ("H23.4", "H23.10")] == [False, True]


async def test_within_one_epoch_another_history_stays_refused(ahead: Node, hub: HubSimulator, world: World) -> None:
    """Without a new epoch nobody brings a node to another history, whoever signed it."""
    with restored_to(hub, world, 2, epoch=hub.epoch):
        for code in ("H23.9", "H23.10", "H23.11"):
            world.publish(agencies=[agency(code)])
        with pytest.raises(DirectoryRejected, match="another version 4"):
            await ahead.directory.sync(ahead.hub)
    assert await codes(ahead) == {"H23.2", "H23.3", "H23.4"}


async def test_a_shorter_history_alone_takes_nothing_back(ahead: Node, hub: HubSimulator, world: World) -> None:
    """A stale hub, or who has its TLS key alone, can claim any epoch: without a version signed anew nothing changes."""
    with restored_to(hub, world, 2):
        assert await ahead.directory.sync(ahead.hub) == 4
    assert await codes(ahead) == {"H23.2", "H23.3", "H23.4"}


async def test_a_history_signed_by_another_key_takes_nothing_back(ahead: Node, hub: HubSimulator, world: World) -> None:
    """A version that the directory's key did not sign moves nobody, in no epoch."""
    with restored_to(hub, world, 2):
        world._directory_key, kept = world.forged_receipts_key, world._directory_key
        world.publish(agencies=[agency("H23.9")])
        world._directory_key = kept
        with pytest.raises(DirectoryRejected):
            await ahead.directory.sync(ahead.hub)
    assert await codes(ahead) == {"H23.2", "H23.3", "H23.4"}


async def test_a_directory_that_only_grew_goes_on(ahead: Node, hub: HubSimulator, world: World) -> None:
    """A hub whose backup had all that a node has is followed as before."""
    with restored_to(hub, world, 4):
        world.publish(agencies=[agency("H23.5")])
        assert await ahead.directory.sync(ahead.hub) == 5
    assert await codes(ahead) == {"H23.2", "H23.3", "H23.4", "H23.5"}
