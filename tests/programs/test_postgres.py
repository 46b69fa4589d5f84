"""Real programs whose state is on a PostgreSQL server, which is killed under them and comes back."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from congvan.demo.programs import COMMAND
from congvan.demo.site import Site
from tests.programs import exchange
from tests.services.postgres import PostgresServer

#: Documents that are under way while the server is killed, and how often it is.
DOCUMENTS = 16
KILLS = 3


def on_server(folder: Path, server: PostgresServer) -> Site:
    """A site that keeps nothing of its state in its folders."""
    site = exchange.site(folder)
    for name in ("hub", "node-G22", "node-H23"):
        site.databases[name] = server.settings(server.create_database(), folder / f"{name}.password")
    return site


async def all_arrived(site: Site, count: int) -> bool:
    return len(await exchange.subjects(site, "H23")) >= count


@pytest.mark.programs
@pytest.mark.timeout(600)
async def test_documents_travel_while_the_server_is_killed_and_comes_back(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    """Hub and nodes on PostgreSQL: nothing is lost or doubled by its kills, programs heal, and the audit is clean."""
    site = on_server(tmp_path, postgres)
    await site.set_up()
    try:
        await site.start_nodes()
        exchange.drop(site, 0)
        await exchange.until(partial(all_arrived, site, 1), "the first document")
        for number in range(1, DOCUMENTS):
            exchange.drop(site, number)
            if number % (DOCUMENTS // (KILLS + 1)) == 0:
                # Some of those before are on their way now: in the middle of their transactions, or between two.
                await exchange.until(partial(all_arrived, site, number // 2), "some documents")
                postgres.kill()
                await asyncio.sleep(0.5)
                postgres.start()
        await exchange.until(partial(all_arrived, site, DOCUMENTS), "all documents")
        assert len(await exchange.settled(site, DOCUMENTS)) == DOCUMENTS
        assert await exchange.subjects(site, "H23") == sorted(f"Văn bản số {number}" for number in range(DOCUMENTS))
        assert all(program.is_running for program in site.programs.values())
        await audited(site)
    finally:
        await site.stop()
    assert not list(tmp_path.rglob("hub.db")) + list(tmp_path.rglob("node.db"))


async def audited(site: Site) -> None:
    """`congvan audit` over all three, by their folders, finds every attachment and nothing amiss."""
    folders = (site.hub_folder, site.node_folder("G22"), site.node_folder("H23"))
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "audit",
        *map(str, folders),
        "--deep",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
