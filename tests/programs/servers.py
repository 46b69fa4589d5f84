"""Sites whose state is on a PostgreSQL server, and the audit of what they have left."""

from __future__ import annotations

import asyncio
from pathlib import Path

from congvan.demo.programs import COMMAND
from congvan.demo.site import Site
from tests.programs import exchange
from tests.services.postgres import PostgresServer


def on_server(folder: Path, server: PostgresServer) -> Site:
    """A site that keeps nothing of its state in its folders."""
    site = exchange.site(folder)
    for name in ("hub", "node-G22", "node-H23"):
        site.databases[name] = server.settings(server.create_database(), folder / f"{name}.password")
    return site


async def all_arrived(site: Site, count: int) -> bool:
    return len(await exchange.subjects(site, "H23")) >= count


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
