"""A hub of several processes under traffic: all replaced while it serves, and one killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from congvan.demo.site import Site
from tests.programs import exchange
from tests.programs.servers import all_arrived, audited, on_server
from tests.services.postgres import PostgresServer

#: Documents that are on their way when a process is killed.
DOCUMENTS = 8
WORKERS = 2
#: Seconds between two documents while the processes are replaced, and how many there are at most.
PACE, MOST = 0.25, 40
#: Documents that are on their way meanwhile.
UNDER_WAY = 4
#: Seconds of a lease. As long as a slow machine may take for anything else.
LEASE = 20
_BY_WORKERS = f"import sys; sys.argv += ['--workers', '{WORKERS}']; from congvan.cli import main; main()"


def workers(site: Site) -> list[int]:
    """The processes that serve: the children of the one that was started."""
    children = Path(f"/proc/{site.hub.pid}/task/{site.hub.pid}/children").read_text(encoding="ascii")
    return sorted(int(pid) for pid in children.split())


async def is_logged(site: Site, event: str, times: int = 1) -> bool:
    return site.hub.log.read_text(encoding="utf-8").count(event) >= times


async def express_delays(site: Site, dropped: dict[int, float], over: asyncio.Event) -> dict[int, float]:
    """The seconds that each express document took from out/ to in/; looks until `over` is set and all are there.

    `dropped` tells when each was dropped, and grows meanwhile.
    """
    delays: dict[int, float] = {}
    while not (over.is_set() and len(delays) == len(dropped)):
        found = await exchange.subjects(site, "H23")
        now = time.monotonic()
        for number, dropped_at in list(dropped.items()):
            if f"Văn bản số {number}" in found:
                delays.setdefault(number, now - dropped_at)
        await asyncio.sleep(0.05)
    return delays


@pytest.mark.programs
@pytest.mark.timeout(600)
async def test_nothing_is_lost_while_processes_are_replaced_and_killed(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    """All processes replaced under traffic, then one killed: every document arrives once, and the audit is clean; none
    that is express takes longer than a lease, while all are replaced."""
    site = on_server(tmp_path, postgres)
    site.environment["CONGVAN_HUB__EXCHANGE__MAILBOX__LEASE_SECONDS"] = str(LEASE)
    site.launchers["hub"] = (sys.executable, "-c", _BY_WORKERS)
    try:
        with logs_told(site):
            await site.set_up()
            await site.start_nodes()
            await exchange.until(partial(is_logged, site, "worker.serves", WORKERS), "both processes to serve")
            before = workers(site)
            assert len(before) == WORKERS
            # The first shows that all is well: what follows is not to be measured by a start.
            exchange.drop(site, 0)
            await exchange.until(partial(all_arrived, site, 1), "the first document")
            express: dict[int, float] = {}
            over = asyncio.Event()
            watching = asyncio.create_task(express_delays(site, express, over))
            number = 0
            os.kill(site.hub.pid, signal.SIGUSR2)
            while number < MOST and not await is_logged(site, "workers.replaced"):
                number += 1
                if number % 2:
                    express[number] = time.monotonic()
                exchange.drop(site, number, priority=3 if number % 2 else 0)
                # As many as the nodes themselves come to terms with: a queue before the hub is not to be measured.
                await asyncio.sleep(PACE)
                await exchange.until(partial(all_arrived, site, number - UNDER_WAY), "some documents")
            await exchange.until(partial(is_logged, site, "workers.replaced"), "all to be replaced")
            over.set()
            delays = await asyncio.wait_for(watching, exchange.PATIENCE)
            after = workers(site)
            assert not set(before) & set(after)
            os.kill(after[0], signal.SIGKILL)
            documents = number + 1 + DOCUMENTS
            for last in range(number + 1, documents):
                exchange.drop(site, last)
            await exchange.until(partial(all_arrived, site, documents), "all documents")
            assert len(await exchange.settled(site, documents)) == documents
            subjects = sorted(f"Văn bản số {number}" for number in range(documents))
            assert await exchange.subjects(site, "H23") == subjects
            assert await is_logged(site, "worker.ended"), "the killed one is told of"
            await audited(site)
        assert len(delays) > 1
        longest = max(delays.values()) / LEASE
        assert longest <= 1, f"{len(delays)} express documents, the longest delay {longest:.2f} leases"
    finally:
        await site.stop()
    assert not [pid for pid in workers_of(before, after) if Path(f"/proc/{pid}").exists()]


@contextlib.contextmanager
def logs_told(site: Site) -> Iterator[None]:
    """What fails within is told with the ends of the programs' logs."""
    try:
        yield
    except BaseException as error:
        for name, program in site.programs.items():
            if program.log.exists():
                error.add_note(f"{name}:\n{program.log.read_text(errors='replace')[-4000:]}")
        raise


def workers_of(*groups: list[int]) -> set[int]:
    return {pid for group in groups for pid in group}
