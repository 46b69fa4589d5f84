"""A hub and nodes as real processes, their agencies' software as an adapter in each node, watched from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from benchmarks.documents import RECIPIENT, SENDER, SIZE
from benchmarks.machine import processor_seconds
from benchmarks.software import Orders
from congvan.demo.programs import Program
from congvan.demo.site import HUB_ENVIRONMENT, Member, Site
from node.settings import NodeFolder
from runtime.postgres_address import DatabaseSettings
from schemas.errors import Unavailable

MEMBERS: Final = (Member(SENDER, "Văn phòng Chính phủ"), Member(RECIPIENT, "UBND tỉnh Hải Dương"))

#: How many documents the software gives to its node at once.
PARALLEL: Final = 32

#: Seconds in which something must come before a run is given up.
PATIENCE: Final = 120.0

_ROOT: Final = Path(__file__).parents[1]


@dataclass(slots=True)
class Seen:
    """What came into a node's database, looked up by number from where the last look ended."""

    database: Path
    question: str
    last: int = 0
    count: int = 0
    _connection: sqlite3.Connection | None = None

    def look(self) -> int:
        """How many there are by now."""
        if self._connection is None:
            # One for all looks: each new one reads the schema, on the processors that are measured.
            self._connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)
        count, last = self._connection.execute(self.question, (self.last,)).fetchone()
        self.count += count
        self.last = max(self.last, last or 0)
        return self.count

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


@dataclass(slots=True)
class Exchange:
    """A running site. What came back to the sender's node: the hub's acceptances, receipts of consignment and of
    hand-over, status 01."""

    site: Site
    orders: dict[str, Orders] = field(default_factory=dict)
    sent: int = 0
    accepted: Seen = field(init=False)
    receipts: Seen = field(init=False)
    handed_over: Seen = field(init=False)
    statuses: Seen = field(init=False)

    def __post_init__(self) -> None:
        database = NodeFolder(self.site.node_folder(SENDER)).data / "node.db"
        event = "SELECT count(*) FILTER (WHERE event = '{}'), max(receipt) FROM receipts WHERE receipt > ?"
        self.accepted = Seen(database, event.format("SubmissionAcceptance"))
        self.receipts = Seen(database, event.format("ContentConsignment"))
        self.handed_over = Seen(database, event.format("ContentHandover"))
        self.statuses = Seen(
            database,
            "SELECT count(*) FILTER (WHERE status = '01'), max(sequence) FROM messages WHERE sequence > ?",
        )

    @property
    def seen(self) -> tuple[Seen, ...]:
        return self.accepted, self.receipts, self.handed_over, self.statuses

    async def prepare(self, documents: int, *, size: int = SIZE, priority: int = 0) -> None:
        """Have documents ready in the sender's software."""
        await self.orders[SENDER].prepare(self.sent, documents, size=size, to=[RECIPIENT], priority=priority)
        self.sent += documents

    async def submit(self, parallel: int = PARALLEL) -> list[tuple[int, float, float]]:
        """Give the sender's node what is ready: number, when it was given, when that was durable."""
        return await self.orders[SENDER].submit(parallel)

    async def until(self, come: Callable[[], int], count: int, what: str) -> float:
        """Wait for `count` of what `come` counts; gives when they were there, by the monotonic clock."""
        last, patient_until = -1, 0.0
        while (now := time.monotonic()) and (seen := come()) < count:
            if seen > last:
                last, patient_until = seen, now + PATIENCE
            if now > patient_until:
                raise Unavailable("benchmark-stuck", f"{seen} of {count} {what} came, and no more in {PATIENCE:.0f} s.")
            await asyncio.sleep(0.02)
        return time.monotonic()

    def processors(self) -> dict[str, float]:
        """Seconds of the processors that each program has used, by its name."""
        return {name: processor_seconds(program.pid) for name, program in self.site.programs.items()}


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    *,
    statuses: bool = False,
    hub_database: DatabaseSettings | None = None,
    settings: Mapping[str, str] = MappingProxyType({}),
    workers: int = 1,
) -> AsyncIterator[Exchange]:
    """A hub and two nodes in `folder`, started and warm.

    `statuses`: nodes send status 01 by themselves. `hub_database`: where the hub keeps its state, if not in its folder.
    `settings` override those of the programs, as environment variables. `workers`: how many equal processes the hub is.
    """
    folder.mkdir()
    site = Site(folder, MEMBERS, environment={**_environment(folder), **_settings(statuses), **settings})
    if hub_database is not None:
        site.databases["hub"] = hub_database
    await site.set_up()
    try:
        if workers > 1:
            await site.hub.stop()
            site.programs["hub"] = _hub_of(site, workers)
            await site.start_hub()
        await site.start_nodes()
        exchange = Exchange(site)
        for member in MEMBERS:
            adapter = NodeFolder(site.node_folder(member.code)).adapter("filedrop")
            exchange.orders[member.code] = await Orders.to(adapter)
        # The first document brings every connection up, and what the programs load when they are first used.
        await exchange.prepare(PARALLEL)
        await exchange.submit()
        await exchange.until(exchange.receipts.look, exchange.sent, "receipts")
        yield exchange
        for open_one in (*exchange.orders.values(), *exchange.seen):
            open_one.close()
    finally:
        await site.stop()


def _hub_of(site: Site, workers: int) -> Program:
    """The site's hub as several equal processes at one address."""
    return Program(
        ("hub", "serve", "--dir", str(site.hub_folder), "--workers", str(workers)),
        site.folder / "hub.log",
        environment=HUB_ENVIRONMENT | site.environment,
    )


def _settings(statuses: bool) -> dict[str, str]:
    return {
        # The table that each node was made with, with our software in it.
        "CONGVAN_NODE__ADAPTERS__FILEDROP__ADAPTER": "benchmark",
        "CONGVAN_NODE__EXCHANGE__RECEIVER__ARRIVAL_STATUS": "true" if statuses else "false",
    }


def _environment(folder: Path) -> dict[str, str]:
    """Install the adapter for the programs alone: what `pip install` would leave, in a folder on their path."""
    installed = folder / "installed"
    described = installed / "benchmark_software-1.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: benchmark-software\nVersion: 1\n")
    (described / "entry_points.txt").write_text("[congvan.adapters]\nbenchmark = benchmarks.software:open_software\n")
    path = [str(installed), str(_ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {"PYTHONPATH": os.pathsep.join(filter(None, path))}
