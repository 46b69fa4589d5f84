"""A hub of several processes under traffic: all replaced while it serves, and one killed."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from congvan.demo.site import Site
from tests.programs import exchange
from tests.programs.servers import all_arrived, audited, on_server
from tests.services.postgres import PostgresServer

DOCUMENTS = 24
WORKERS = 2
_BY_WORKERS = f"import sys; sys.argv += ['--workers', '{WORKERS}']; from congvan.cli import main; main()"


def workers(site: Site) -> list[int]:
    """The processes that serve: the children of the one that was started."""
    children = Path(f"/proc/{site.hub.pid}/task/{site.hub.pid}/children").read_text(encoding="ascii")
    return sorted(int(pid) for pid in children.split())


async def is_logged(site: Site, event: str, times: int = 1) -> bool:
    return site.hub.log.read_text(encoding="utf-8").count(event) >= times


@pytest.mark.programs
@pytest.mark.timeout(600)
async def test_nothing_is_lost_while_processes_are_replaced_and_killed(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    """All processes replaced under traffic, then one killed: every document arrives once, and the audit is clean."""
    site = on_server(tmp_path, postgres)
    site.launchers["hub"] = (sys.executable, "-c", _BY_WORKERS)
    await site.set_up()
    try:
        await site.start_nodes()
        await exchange.until(partial(is_logged, site, "worker.serves", WORKERS), "both processes to serve")
        before = workers(site)
        assert len(before) == WORKERS
        for number in range(DOCUMENTS):
            exchange.drop(site, number)
            if number == DOCUMENTS // 3:
                os.kill(site.hub.pid, signal.SIGUSR2)
            if number == 2 * DOCUMENTS // 3:
                await exchange.until(partial(is_logged, site, "workers.replaced"), "all to be replaced")
                after = workers(site)
                assert not set(before) & set(after)
                os.kill(after[0], signal.SIGKILL)
        await exchange.until(partial(all_arrived, site, DOCUMENTS), "all documents")
        assert len(await exchange.settled(site, DOCUMENTS)) == DOCUMENTS
        assert await exchange.subjects(site, "H23") == sorted(f"Văn bản số {number}" for number in range(DOCUMENTS))
        assert await is_logged(site, "worker.ended"), "the killed one is told of"
        await audited(site)
    finally:
        await site.stop()
    assert not [pid for pid in workers_of(before, after) if Path(f"/proc/{pid}").exists()]


def workers_of(*groups: list[int]) -> set[int]:
    return {pid for group in groups for pid in group}
