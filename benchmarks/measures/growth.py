"""A hub that holds a million delivered messages against an empty one.

Two hubs in this process, on the same disk: one empty, one filled with delivered messages (rows of the real shape, made
from one real message by SQL; each with its envelope, delivery, three receipts and closed mailbox entries). Both accept
and hand out the same sealed documents by turns, so that whatever else the machine does meets both alike. The time of
the processor is told beside the rates: it says the same where others use the machine too. Then the filled one accepts
while its retention drops payloads, and while it does not, by turns as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar, Final

from benchmarks.hub_in_process import Hub, Sample, World, opened
from benchmarks.measurement import Run
from benchmarks.rows import Pair, Result, Row, at_least
from hub.workers.retention import retention_service

#: How long ago the filled messages ended: longer than payloads are kept.
AGE: Final = timedelta(days=40)

#: The tables of a delivered message in the order of what they refer to; what of a copy is not as in the first.
_TABLES: Final = ("messages", "envelopes", "deliveries", "receipts", "mailbox_entries")
_CHANGED: Final = {
    "message": "message + n",
    "message_id": "lower(hex(randomblob(32)))",
    "receipt": "receipt + 3 * n",
    "entry": "entry + 3 * n",
    # Bytes that nobody reads again; the others of a message are in overflow pages, which no search touches.
    "body": "substr(body, 1, 300)",
}


#: In each turn, for each hub.
_DOCUMENTS: Final = 32

_EMPTY: Final = "the same on an empty database"
ACCEPTED = Row("growth-accept", "documents accepted with 1,000,000 stored", "documents/s", _EMPTY, at_least(0.85))
FETCHED = Row("growth-fetch", "documents fetched with 1,000,000 stored", "documents/s", _EMPTY, at_least(0.85))
ACCEPTED_PROCESSOR = Row("growth-accept-processor", "processor time for one accepted, likewise", "ms", _EMPTY)
FETCHED_PROCESSOR = Row("growth-fetch-processor", "processor time for one fetched, likewise", "ms", _EMPTY)
PURGING = Row(
    "growth-purge", "documents accepted while payloads are dropped", "documents/s", "the same hub dropping nothing"
)


class Growth:
    rows: ClassVar[tuple[Row, ...]] = (ACCEPTED, FETCHED, ACCEPTED_PROCESSOR, FETCHED_PROCESSOR, PURGING)

    async def measure(self, run: Run) -> Sequence[Result]:
        folder = run.folder / "growth"
        folder.mkdir()
        messages, repeats = run.of(quick=20_000, full=1_000_000), run.of(quick=11, full=31)
        world = World.make(folder, datetime.now(UTC) - timedelta(days=1))
        run.tell(f"growth: storing {messages:,} messages")
        await fill(folder / "filled", world, messages)
        run.tell(f"growth: {repeats} turns of {_DOCUMENTS} documents")
        async with opened(folder / "empty", world) as empty, opened(folder / "filled", world) as filled:
            accepts: dict[Hub, list[Sample]] = {empty: [], filled: []}
            fetches: dict[Hub, list[Sample]] = {empty: [], filled: []}
            for repeat in range(repeats + 1):
                sealed = world.documents(1 + repeat * _DOCUMENTS, _DOCUMENTS)
                for hub in (empty, filled) if repeat % 2 else (filled, empty):
                    accepts[hub].append(await hub.accept(sealed))
                    fetches[hub].append(await hub.fetch(_DOCUMENTS))
            before = await filled.payloads()
            alone, beside = await _beside_a_purge(filled, world, repeats=repeats)
            dropped = before + 2 * _DOCUMENTS * (repeats + 1) - await filled.payloads()
        scale = f"{messages:,} messages stored, {repeats} turns of {_DOCUMENTS} documents"
        return [
            _rates(ACCEPTED, scale, accepts[filled], accepts[empty]),
            _rates(FETCHED, scale, fetches[filled], fetches[empty]),
            _processor(ACCEPTED_PROCESSOR, scale, accepts[filled], accepts[empty]),
            _processor(FETCHED_PROCESSOR, scale, fetches[filled], fetches[empty]),
            _rates(PURGING, f"{scale}; {dropped:,} payloads dropped", beside, alone),
        ]


def _rates(row: Row, scale: str, samples: Sequence[Sample], references: Sequence[Sample]) -> Result:
    """The first turn of each warmed up, and is not counted."""
    pairs = list(zip(samples, references, strict=True))[1:]
    return Result(row, scale, tuple(Pair(sample.rate, reference.rate) for sample, reference in pairs))


def _processor(row: Row, scale: str, samples: Sequence[Sample], references: Sequence[Sample]) -> Result:
    pairs = list(zip(samples, references, strict=True))[1:]
    return Result(row, scale, tuple(Pair(sample.cpu, reference.cpu) for sample, reference in pairs))


async def fill(folder: Path, world: World, count: int) -> None:
    """Have `count` delivered messages in the hub's database of `folder`, ended `AGE` ago."""
    async with opened(folder, world) as hub:
        await hub.accept(world.documents(0, 1))
        await hub.fetch(1)
    await asyncio.to_thread(_multiply, folder / "hub.db", count)


def _multiply(path: Path, count: int) -> None:
    """Make many messages of the only one that there is. No other has the database open, and a crash may spoil it."""
    ago = int(AGE / timedelta(microseconds=1))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        run = connection.execute
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000"):
            run(f"PRAGMA {pragma}").close()
        run(f"UPDATE messages SET accepted_at = accepted_at - {ago}, kept_from = kept_from - {ago}")
        run(f"UPDATE deliveries SET updated_at = updated_at - {ago}")
        for event in ("ContentConsignment", "ContentHandover"):
            run(
                "INSERT INTO receipts (message, recipient, event, stored_at, body, proof)"
                f" SELECT message, 'H23', '{event}', stored_at, body, proof FROM receipts WHERE recipient IS NULL"
            )
        run(
            "INSERT INTO mailbox_entries"
            " (connection, lane, message, receipt, weight, open, available_at, lapses, attempts)"
            " SELECT 'vpcp', 3, message, receipt, 1000, 0, stored_at, 0, 0 FROM receipts WHERE recipient IS NOT NULL"
        )
        for table in _TABLES:
            names = [f'"{row[1]}"' for row in run(f"PRAGMA table_info({table})")]
            values = ", ".join(_CHANGED.get(name.strip('"'), name) for name in names)
            run(f"CREATE TEMP TABLE first_{table} AS SELECT * FROM {table}")
            run(
                f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count - 1})"
                f" INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM c, first_{table}"
            )
        connection.commit()


async def _beside_a_purge(hub: Hub, world: World, *, repeats: int) -> tuple[list[Sample], list[Sample]]:
    """Samples of acceptance without and with the retention service at work on messages that are due."""
    alone: list[Sample] = []
    beside: list[Sample] = []
    for repeat in range(repeats + 1):
        sealed = world.documents(10_000_000 + repeat * 2 * _DOCUMENTS, 2 * _DOCUMENTS)
        alone.append(await hub.accept(sealed[:_DOCUMENTS]))
        stop = asyncio.Event()
        purging = asyncio.create_task(retention_service(hub.exchange.retention)(stop))
        beside.append(await hub.accept(sealed[_DOCUMENTS:]))
        stop.set()
        await purging
        await hub.deliver_all()
    return alone, beside
