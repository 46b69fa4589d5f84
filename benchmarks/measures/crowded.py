"""A drop in which a hundred thousand files lie, beside an empty one.

Two drops in one process: one whose out/ holds files that wait (they break off) and whose in/ holds folders that nobody
took away, one that is empty. First a third drop hands over while the one or the other is watched, by turns: what others
notice of it. Then both hand over themselves, by turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from adapters.filedrop import Filedrop, open_filedrop
from adapters.filedrop.watching import Watcher
from adapters.kit.messages import Repertoire
from adapters.kit.node import StandInNode
from adapters.sdk import Accepted
from benchmarks.measurement import Run
from benchmarks.rows import Pair, Result, Row, at_least

REST = Row(
    "crowded-rest",
    "hand-overs of another adapter while a drop with 100,000 files in out/ is watched",
    "documents/s",
    "the same while an empty drop is watched",
    at_least(0.85),
)
HANDED_OVER = Row(
    "crowded-in",
    "hand-overs into a drop with 100,000 files in out/ and 100,000 folders in in/",
    "documents/s",
    "the same into an empty drop",
    at_least(0.85),
)
WATCHING = Row(
    "crowded-look", "items looked at in a second of processor time", "items/s", "listing them alone (os.scandir)"
)

#: What breaks off is looked at and not taken.
_UNFINISHED: Final = b"<edXML>"
_MANY: Final = 10_000_000


@dataclass(slots=True)
class _Drop:
    adapter: Filedrop
    node: StandInNode
    repertoire: Repertoire

    async def rate(self, seconds: float) -> float:
        """Hand over for so long; documents a second."""
        began = time.perf_counter()
        count = 0
        while time.perf_counter() - began < seconds:
            case = self.repertoire.ordinary()
            self.node.know([case])
            if await self.adapter.deliver(case.delivery) != Accepted():
                raise RuntimeError(f"{case.title} was not handed over")
            count += 1
        return count / (time.perf_counter() - began)


class CrowdedFolder:
    rows: ClassVar[tuple[Row, ...]] = (REST, HANDED_OVER, WATCHING)

    async def measure(self, run: Run) -> Sequence[Result]:
        folder = run.folder / "crowded"
        items = run.of(quick=10_000, full=100_000)
        # So long that each turn has looks in it: after one, ten times as long passes as it took.
        seconds = run.of(quick=2, full=15)
        run.tell(f"crowded: making {items:,} files and as many folders")
        await asyncio.to_thread(_fill, folder / "crowded", items)
        scale = f"{items:,} files and folders, turns of {seconds} s"
        rest: list[Pair] = []
        handed_over: list[Pair] = []
        async with (
            _opened(folder / "crowded") as crowded,
            _opened(folder / "empty") as empty,
            _opened(folder / "other") as other,
        ):
            for drop in (crowded, empty, other):
                await drop.rate(1)
            run.tell(f"crowded: {run.repeats} turns of {seconds} s, four times")
            for repeat in range(run.repeats):
                order = (crowded, empty) if repeat % 2 else (empty, crowded)
                beside = {id(drop): await _while_watched(drop, other, seconds) for drop in order}
                rest.append(Pair(beside[id(crowded)], beside[id(empty)]))
                rates = {id(drop): await _while_watched(drop, drop, seconds) for drop in order}
                handed_over.append(Pair(rates[id(crowded)], rates[id(empty)]))
        looks = [await asyncio.to_thread(_looked, folder / "crowded", items) for _ in range(run.repeats)]
        return [
            Result(REST, scale, tuple(rest)),
            Result(HANDED_OVER, scale, tuple(handed_over)),
            Result(WATCHING, f"{items:,} files", tuple(looks)),
        ]


async def _while_watched(watched: _Drop, handing: _Drop, seconds: float) -> float:
    """The rate of `handing` while the out/ of `watched` is looked at."""
    stop = asyncio.Event()
    watching = asyncio.create_task(watched.adapter.run(stop))
    try:
        return await handing.rate(seconds)
    finally:
        stop.set()
        await watching


@contextlib.asynccontextmanager
async def _opened(folder: Path) -> AsyncIterator[_Drop]:
    node = StandInNode(folder / "node")
    # What breaks off is to wait for as long as this takes.
    adapter = await open_filedrop(node.context(folder / "drop", {"incomplete_seconds": 86_400}))
    try:
        yield _Drop(adapter, node, Repertoire(folder, number=_MANY))
    finally:
        await adapter.close()
        node.close()


def _fill(folder: Path, items: int) -> None:
    outgoing, incoming = folder / "drop" / "out", folder / "drop" / "in"
    outgoing.mkdir(parents=True)
    incoming.mkdir()
    for number in range(items):
        (outgoing / f"{number}.edxml").write_bytes(_UNFINISHED)
        (incoming / f"{number:064x}-H23").mkdir()


def _looked(folder: Path, items: int) -> Pair:
    """A look of a watcher that has seen all before, beside a listing with a stat of each: by processor time."""
    outgoing = folder / "drop" / "out"
    watcher = Watcher(outgoing, settle_seconds=2, incomplete_seconds=86_400)
    for now in (0, 10):
        watcher.look(now)
    began = time.thread_time()
    watcher.look(20)
    looked = time.thread_time()
    with os.scandir(outgoing) as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)
    return Pair(items / (looked - began), items / (time.thread_time() - looked))
