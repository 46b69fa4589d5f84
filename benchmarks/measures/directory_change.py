"""A change of the directory on its way to all nodes that wait: how long until the last one has it.

Simulated nodes, each a connection of its own with its own certificate, wait in long polls as nodes do, whose ends are
spread over the wait. A poll that ends tells the newest version; a node that has an older one asks for what it lacks.
Nothing ends a poll early: that all nodes ask at once for a new agency's name would hold up documents.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import ClassVar, Final

from benchmarks.exchange import MEMBERS
from benchmarks.machine import processor_seconds
from benchmarks.measurement import Run
from benchmarks.measures.waiting import allow_descriptors, enrolled
from benchmarks.pollers import client_context
from benchmarks.rows import Pair, Result, Row
from congvan.demo.site import Site
from hub.foundation import open_foundation
from hub.settings import HubFolder
from hub.usecases.agencies import NewAgency
from schemas.codes import AgencyCode
from transport.client import HubClient, open_hub_client

LAST = Row(
    "directory-change",
    "a change of the directory: until the last of 1,000 waiting nodes has it",
    "s",
    "how long a poll waits",
)
PROCESSOR = Row(
    "directory-change-processor",
    "the hub's processor time for it, a node",
    "ms",
    "the same nodes in as long a time without a change",
)

_SETTINGS: Final = {"CONGVAN_HUB__EXCHANGE__MAILBOX__WAIT_SECONDS": "60"}


class DirectoryChange:
    rows: ClassVar[tuple[Row, ...]] = (LAST, PROCESSOR)

    async def measure(self, run: Run) -> Sequence[Result]:
        nodes, wait = run.of(quick=100, full=1000), run.of(quick=1, full=20)
        allow_descriptors(nodes + 1000)
        folder = run.folder / "directory-change"
        folder.mkdir()
        site = Site(folder, MEMBERS[:1], environment=_SETTINGS)
        await site.set_up()
        await site.hub.stop()
        chains = await enrolled(site, folder / "nodes", nodes)
        await site.start_hub()
        try:
            last, processor = [], []
            async with _polling(site, chains, wait) as polls:
                for repeat in range(run.repeats):
                    run.tell(f"a change to {nodes:,} nodes: {repeat + 1} of {run.repeats}")
                    before = processor_seconds(site.hub.pid)
                    await asyncio.sleep(wait)
                    idle = processor_seconds(site.hub.pid) - before
                    version = await _change(site, repeat)
                    begun, before = time.monotonic(), processor_seconds(site.hub.pid)
                    await asyncio.gather(*(poll.reaches(version) for poll in polls))
                    seconds = time.monotonic() - begun
                    await asyncio.sleep(max(0, wait - seconds))
                    busy = processor_seconds(site.hub.pid) - before
                    last.append(Pair(seconds, wait))
                    processor.append(Pair(busy / nodes * 1000, idle / nodes * 1000))
        finally:
            await site.stop()
        scale = f"{nodes:,} nodes, polls of {wait} s"
        return [Result(LAST, scale, tuple(last)), Result(PROCESSOR, scale, tuple(processor))]


class _Poll:
    """A simulated node: what version of the directory it has, and a poll after the other."""

    def __init__(self) -> None:
        self._version = 0
        self._changed = asyncio.Condition()

    async def reaches(self, version: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._version >= version)

    async def run(self, hub: HubClient, *, wait: float, first: float) -> None:
        """Poll for ever; the first poll waits `first` seconds, each other one `wait`."""
        seconds = first
        while True:
            answer = await hub.mailbox(wait=seconds, limit=32)
            seconds = wait
            if answer.directory_version > self._version:
                await hub.directory(since=self._version)
                async with self._changed:
                    self._version = answer.directory_version
                    self._changed.notify_all()


@contextlib.asynccontextmanager
async def _polling(site: Site, chains: Sequence[Path], wait: float) -> AsyncIterator[list[_Poll]]:
    """The polls of all nodes, spread over the wait, all of which have the newest version."""
    polls, tasks = [], []
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for number, chain in enumerate(chains):
            tls = client_context(chain.with_name("authority.pem"), chain, chain.with_name("node.key"))
            hub = await stack.enter_async_context(open_hub_client(site.url, tls))
            poll = _Poll()
            polls.append(poll)
            tasks.append(group.create_task(poll.run(hub, wait=wait, first=wait * number / len(chains))))
        await asyncio.gather(*(poll.reaches(1) for poll in polls))
        yield polls
        for task in tasks:
            task.cancel()


async def _change(site: Site, number: int) -> int:
    """Admit one more agency, as the operator's command does; gives the version that has it."""
    async with open_foundation(HubFolder(site.hub_folder)) as hub:
        new = NewAgency(AgencyCode(f"K9{number}"), f"Cơ quan {number}")
        return (await hub.agencies.add(new, actor="benchmark")).version
