"""An adapter in a process of its own: what it does to that process harms neither the node nor another adapter."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from adapters.kit.messages import Case, Repertoire
from adapters.kit.node import StandInNode
from adapters.process.isolated import IsolatedAdapter, ProcessTerms, open_isolated
from adapters.sdk import Accepted
from schemas.errors import Rejected, Unavailable
from schemas.limits import MIB

PATIENCE = 60.0


@contextlib.asynccontextmanager
async def shelf(
    folder: Path, node: StandInNode, temper: str = "good", *, patience: float = 30.0
) -> AsyncIterator[IsolatedAdapter]:
    """The third party's adapter, run as a node runs it: started again whenever it fails."""
    folder.mkdir()
    memory = 1536 * MIB if temper == "hungry" else None
    terms = ProcessTerms(patience=patience, memory=memory, log_format="text", log_level="error")
    adapter = await open_isolated("shelf", node.context(folder, {"temper": temper}, name="shelf"), terms)
    stop = asyncio.Event()

    async def run() -> None:
        while not stop.is_set():
            with contextlib.suppress(Unavailable):
                await adapter.run(stop)

    running = asyncio.create_task(run())
    try:
        yield adapter
    finally:
        stop.set()
        await asyncio.wait_for(running, PATIENCE)
        await adapter.close()


async def delivered(adapter: IsolatedAdapter, case: Case) -> int:
    """Hand `case` over as a node does: again and again until it is taken; gives how often it failed."""
    for failures in range(1000):
        try:
            assert await adapter.deliver(case.delivery) == Accepted()
        except Unavailable:
            await asyncio.sleep(0.05)
        else:
            return failures
    raise AssertionError("never taken")


async def pid_of(adapter: IsolatedAdapter) -> int:
    while True:
        with contextlib.suppress(Unavailable):
            health = await adapter.health()
            assert health.ok, health.detail
            return int(health.detail.split()[0])
        await asyncio.sleep(0.05)


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - another process brings it about
            await asyncio.sleep(0.01)


@pytest.fixture
def node(tmp_path: Path, third_party: None) -> StandInNode:
    return StandInNode(tmp_path / "node")


async def test_a_third_partys_adapter_works_in_its_own_process(node: StandInNode, tmp_path: Path) -> None:
    """It is found by its metadata, knows neither node nor hub nor certs, streams attachments, and is told to close."""
    repertoire = Repertoire(tmp_path / "out", huge=9 * MIB)
    case = repertoire.enormous()
    node.know([case])
    async with shelf(tmp_path / "shelf", node) as adapter:
        pid = await pid_of(adapter)
        assert pid != os.getpid()
        assert await delivered(adapter, case) == 0
    sizes = [one.size for one in case.delivery.attachments]
    assert (tmp_path / "shelf" / case.key).read_text() == str(sum(sizes))
    assert max(sizes) >= 9 * MIB
    assert (tmp_path / "shelf" / "closed").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("temper", ["blocking", "exiting", "hungry"])
async def test_an_adapter_that_misbehaves_harms_nobody_else(node: StandInNode, tmp_path: Path, temper: str) -> None:
    """While it blocks, exits or eats memory, another takes its messages and the node goes on; then it is started again
    and takes, under the same key, what it had under way."""
    repertoire = Repertoire(tmp_path / "out")
    bad_case, good_case = repertoire.document("for the bad one"), repertoire.document("for the good one")
    node.know([bad_case, good_case])
    async with (
        shelf(tmp_path / "bad", node, temper, patience=4.0 if temper == "blocking" else 30.0) as bad,
        shelf(tmp_path / "good", node) as good,
    ):
        before = await pid_of(bad)
        failing = asyncio.create_task(delivered(bad, bad_case))
        await _until((tmp_path / "bad" / "misbehaved").exists)
        assert await delivered(good, good_case) == 0
        assert await asyncio.wait_for(failing, PATIENCE) > 0
        assert (tmp_path / "bad" / bad_case.key).exists()
        # Whom memory fails may live on: then the call failed, and nothing else.
        assert (await pid_of(bad) == before) is (temper == "hungry")


async def test_what_an_adapter_rejects_of_its_settings_is_told(node: StandInNode, tmp_path: Path) -> None:
    """The error of the other process comes over with its rule and its place, and no process is left."""
    with pytest.raises(Rejected) as caught:
        async with shelf(tmp_path / "shelf", node, "moody"):
            pass
    assert (caught.value.code, caught.value.element) == ("temper-unknown", "adapters.shelf.temper")
