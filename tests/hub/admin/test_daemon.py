"""The hub as a process: it says when it is ready, stops when it is told, and comes back after a kill."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.foundation import open_foundation
from hub.settings import HubFolder
from hub.usecases.agencies import NewAgency
from schemas.codes import AgencyCode
from tests.hub.admin.conftest import NAME, Node, enrol
from transport.client import fetch_authority

pytestmark = pytest.mark.programs


@contextlib.asynccontextmanager
async def daemon(folder: HubFolder) -> AsyncIterator[tuple[Process, str]]:
    """`congvan hub serve` and the address that it says it is ready at; killed at the end if it still runs."""
    environment = {**os.environ, "CONGVAN_HUB__LOG__FORMAT": "json"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "congvan.cli", "hub", "serve", "--dir", str(folder.root), stdout=PIPE, env=environment
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        found = re.fullmatch(rf"{NAME} is ready at (https://127\.0\.0\.1:\d+)\n", line)
        assert found is not None, line
        yield process, found[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_it_comes_back_after_a_kill(folder: HubFolder) -> None:
    """Nothing that a killed hub left behind, neither lock nor doorbell, keeps the next one from starting."""
    async with daemon(folder) as (first, url):
        root = await fetch_authority(url)
        first.kill()
        await first.wait()
    async with daemon(folder) as (_, url):
        assert await fetch_authority(url) == root


async def test_a_stop_lets_what_waits_end(folder: HubFolder, tmp_path: Path) -> None:
    """At SIGTERM a node that waits for mail gets its empty answer at once, and the hub ends with status 0."""
    async with open_foundation(folder) as office:
        added = await office.agencies.add(NewAgency(AgencyCode("H23"), "x"), actor="test")
    assert added.token is not None
    node = Node.make(tmp_path / "node")
    async with daemon(folder) as (process, url):
        enrolled = await enrol(url, added.token.text, node.request)
        async with node.speaking(url, enrolled) as client, node.speaking(url, enrolled) as later:
            await client.directory(since=0)
            waiting = asyncio.create_task(client.mailbox(wait=50, limit=1))
            # The poll goes out on the connection that is open; this, later, on one of another client's that has to be
            # opened first.
            await later.directory(since=0)
            process.send_signal(signal.SIGTERM)
            answer = await asyncio.wait_for(waiting, 30)
        assert answer.entries == ()
        assert await process.wait() == 0
    assert not folder.doorbell().exists()
