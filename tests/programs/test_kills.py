"""`kill -9` anywhere on a document's way, then a restart: it arrives once, its receipts arrive, the count balances."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.programs import exchange

#: More than a database keeps inline, so that the blob's way (upload, sync, rename) is walked as well.
CONTENT = b"%PDF-" + bytes(100_000)


async def kill_points(site: exchange.Site, name: str) -> int:
    """How many commits, syncs and renames the program `name` makes for one document."""
    steps = site.folder / "steps"
    exchange.order(site, name, f"count {steps}")
    exchange.drop(site, 0, content=CONTENT)
    await exchange.settled(site, 1)
    exchange.order(site, name, "")
    return len(steps.read_text().splitlines())


async def revive(site: exchange.Site, name: str) -> None:
    exchange.order(site, name, "")
    if name == "hub":
        await site.start_hub()
    else:
        await exchange.program(site, name).start()


@pytest.mark.programs
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["hub", "node-G22", "node-H23"])
async def test_killed_at_each_commit_point(name: str, tmp_path: Path) -> None:
    """Killed right before any commit, sync or rename of a document's way, a program loses and doubles nothing."""
    site = exchange.site(tmp_path, faulty=True)
    await site.set_up()
    try:
        await site.start_nodes()
        points = await kill_points(site, name)
        assert points >= 5, "too few steps were seen: the launcher's wrapping does not work"
        killed = 0
        for point in range(1, points + 1):
            exchange.order(site, name, f"before {point}")
            exchange.drop(site, point, content=CONTENT)
            program = exchange.program(site, name)
            await exchange.until(
                lambda point=point, program=program: died_or_arrived(site, program, point), f"step {point} of {name}"
            )
            if not program.is_running:
                killed += 1
                await revive(site, name)
        assert killed >= points * 2 // 3, f"only {killed} of {points} kills struck"
        exchange.order(site, name, "")
        await everything_arrived_once(site, points + 1)
    finally:
        await site.stop()


async def died_or_arrived(site: exchange.Site, program: exchange.Program, number: int) -> bool:
    if not program.is_running:
        return True
    arrived = await exchange.subjects(site, "H23")
    if f"Văn bản số {number}" not in arrived:
        return False
    # Receipts and status 01 are still on their way: give the fault its chance there.
    for _ in range(20):
        await asyncio.sleep(0.1)
        if not program.is_running:
            break
    return True


async def everything_arrived_once(site: exchange.Site, documents: int) -> None:
    await exchange.until(
        lambda: _arrived(site, documents), f"{documents} documents; there are {await exchange.subjects(site, 'H23')}"
    )
    stories = await exchange.settled(site, documents)
    assert await exchange.subjects(site, "H23") == sorted(f"Văn bản số {number}" for number in range(documents))
    assert len(stories) == documents
    for story in stories:
        assert story.outbox is not None
        events = sorted(receipt.event for receipt in story.receipts)
        assert events == ["ContentConsignment", "ContentHandover", "SubmissionAcceptance"]
        assert [one.status for one in story.outbox.recipients] == ["01"]


async def _arrived(site: exchange.Site, documents: int) -> bool:
    return len(await exchange.subjects(site, "H23")) >= documents


@pytest.mark.programs
@pytest.mark.timeout(600)
async def test_killed_at_random_moments(tmp_path: Path) -> None:
    """Under a steady stream of documents, kills of any program at any moment lose nothing and double nothing."""
    chance = random.Random(20261121)
    site = exchange.site(tmp_path)
    await site.set_up()
    try:
        await site.start_nodes()
        documents = 24
        for number in range(documents):
            exchange.drop(site, number, content=CONTENT if number % 2 else b"%PDF-")
            await asyncio.sleep(chance.uniform(0.0, 0.6))
            if number % 3 == 0:
                name = chance.choice(["hub", "node-G22", "node-H23"])
                await exchange.program(site, name).kill()
                await asyncio.sleep(chance.uniform(0.0, 0.3))
                await revive(site, name)
        await everything_arrived_once(site, documents)
    finally:
        await site.stop()
