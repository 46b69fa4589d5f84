"""`make bench-growth`: does a hub stay quick when it holds a million delivered messages, and while it drops them?

Two hubs in this process, on the same disk: one empty, one filled with delivered messages (rows of the real shape, made
from one real message by SQL; each with its envelope, delivery, three receipts and closed mailbox entries). Both accept
and hand out the same sealed documents by turns, so that whatever else the machine does meets both alike; the figures
are medians, and the ratio is the median of the ratios turn by turn. Time of the processor is given beside the rates: it
tells the same where others use the machine too. Then the filled one accepts while its retention drops payloads, and
while it does not, by turns as well.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from benchmarks.documents import letter
from certs.authority import Authority
from certs.keys import fingerprint, new_p256_key
from certs.sealing import seal
from certs.sealing_key import SealingKey
from hub.settings_alerts import AlertSettings
from hub.settings_exchange import ExchangeSettings
from hub.store import agencies, connections, directory
from hub.store.schema import MIGRATIONS
from hub.usecases.acceptance import Accepted
from hub.usecases.exchange import Exchange
from hub.usecases.judgement import Judged
from hub.usecases.meters import Meters
from hub.workers.retention import retention_service
from runtime.blob_folder import BlobFolder
from runtime.database import Database, open_database
from runtime.logs import LogFormat, configure_logs
from runtime.migrations import upgrade
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry
from schemas.envelope import Envelope, Extension
from schemas.message import TraceHeader
from schemas.times import TimestampText

NAME: Final = "hub.bench.test"
SERVES: Final = {"vpcp": "G22", "haiduong": "H23"}

#: As many submissions at once as one node may have, and as many entries in a fetch as it asks for.
PARALLEL: Final = 16
BATCH: Final = 32

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


@dataclass(frozen=True, slots=True)
class World:
    """The keys that both hubs know."""

    authority: Authority
    receipts_key: SealingKey
    seals: dict[str, SealingKey]

    @classmethod
    def make(cls, folder: Path, now: datetime) -> World:
        authority = Authority.create(folder / "authority", "Bench", now=now)
        key = new_p256_key()
        seals = {}
        for connection in SERVES:
            own = new_p256_key()
            seals[connection] = SealingKey(own, authority.issue_seal(own.public_key(), connection, [], now))
        return cls(authority, SealingKey(key, authority.issue_receipts(key.public_key(), NAME, now)), seals)

    def documents(self, first: int, count: int) -> list[bytes]:
        """Sealed documents from G22 to H23, all different."""
        trace = (TraceHeader(organ_id=AgencyCode("G22"), timestamp=TimestampText("2026/11/21 08:00:00")),)
        return [
            seal(
                Envelope(replace(letter(number), trace=trace), Extension(submission_id=f"bench-{number}")),
                self.seals["vpcp"],
                datetime.now(UTC),
            ).data
            for number in range(first, first + count)
        ]

    def enter(self, transaction: Connection) -> None:
        """Put both agencies and the authority into a directory."""
        now = datetime.now(UTC)
        for connection, code in SERVES.items():
            key = self.seals[connection]
            connections.add(transaction, connection, connection, at=now)
            der = key.certificate.public_bytes(Encoding.DER)
            connections.add_seal(transaction, connection, key.fingerprint, der, at=now)
            agencies.add(transaction, AgencyEntry(code=AgencyCode(code), name=code, connection=connection), at=now)
        root = self.authority.root
        directory.put_anchor(transaction, fingerprint(root), root.public_bytes(Encoding.DER), ("",), at=now)
        directory.append(
            transaction, 1, digest="0" * 64, document=b"{}", issued_at=now, expires_at=now + timedelta(days=30)
        )


@dataclass(frozen=True, slots=True)
class Sample:
    """Documents a second, and milliseconds of the processor for each."""

    rate: float
    cpu: float

    @classmethod
    def since(cls, started: tuple[float, float], documents: int) -> Sample:
        return cls(
            documents / (time.perf_counter() - started[0]), (time.process_time() - started[1]) / documents * 1000
        )


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub's exchange, without its listeners."""

    database: Database
    exchange: Exchange

    async def accept(self, documents: Sequence[bytes]) -> Sample:
        """Accept `documents`, `PARALLEL` at a time."""
        waiting = iter(documents)

        async def worker() -> None:
            for data in waiting:
                judged = await self.exchange.submissions.begin("vpcp", data)
                assert isinstance(judged, Judged)
                async with self.exchange.submissions.intake(judged) as intake:
                    assert isinstance(await self.exchange.submissions.end(judged, intake), Accepted)

        started = _now()
        await asyncio.gather(*(worker() for _ in range(PARALLEL)))
        return Sample.since(started, len(documents))

    async def fetch(self, count: int) -> Sample:
        """Fetch `count` documents that wait for H23, `BATCH` at a time."""
        left = count
        started = _now()
        while left:
            left -= len((await self.exchange.mailbox.fetch("haiduong", wait=0, limit=BATCH)).entries)
        sample = Sample.since(started, count)
        await self.database.write(_deliver_all)
        return sample

    async def payloads(self) -> int:
        """How many envelopes are held."""

        def held(transaction: Connection) -> int:
            return transaction.exec_driver_sql("SELECT count(*) FROM envelopes").scalar_one()

        return await self.database.read(held)


@contextlib.asynccontextmanager
async def opened(folder: Path, world: World) -> AsyncIterator[Hub]:
    async with open_database(folder / "hub.db") as database:
        await upgrade(database, MIGRATIONS)
        if await database.read(directory.directory_version) == 0:
            await database.write(world.enter)
        exchange = Exchange.of(
            database,
            BlobFolder(folder / "attachments"),
            name=NAME,
            epoch="bench",
            receipts_key=world.receipts_key,
            settings=ExchangeSettings(),
            alerting=AlertSettings(),
            meters=Meters(CollectorRegistry()),
            clock=lambda: datetime.now(UTC),
            chance=Random(1),
            stop=asyncio.Event(),
        )
        yield Hub(database, exchange)


def _deliver_all(transaction: Connection) -> None:
    transaction.exec_driver_sql(
        "UPDATE deliveries SET state = 'delivered' WHERE message IN (SELECT message FROM mailbox_entries WHERE open)"
    )
    transaction.exec_driver_sql("UPDATE mailbox_entries SET open = 0, lease = NULL WHERE open")


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


@dataclass(frozen=True, slots=True)
class Row:
    """A figure beside the one that it is measured against; `ratio` is 1 if they are alike, less if it is worse."""

    name: str
    value: float
    against: str
    reference: float
    ratio: float


def _rows(what: str, samples: Sequence[Sample], against: str, references: Sequence[Sample]) -> list[Row]:
    """A row of rates and one of the processor's time. The first of each warmed up, and is not counted."""
    pairs = list(zip(samples, references, strict=True))[1:]
    median = statistics.median
    return [
        Row(
            f"documents/s {what}",
            median(sample.rate for sample, _ in pairs),
            against,
            median(reference.rate for _, reference in pairs),
            median(sample.rate / reference.rate for sample, reference in pairs),
        ),
        Row(
            f"CPU ms a document {what}",
            median(sample.cpu for sample, _ in pairs),
            against,
            median(reference.cpu for _, reference in pairs),
            median(reference.cpu / sample.cpu for sample, reference in pairs),
        ),
    ]


async def measure(folder: Path, *, messages: int, repeats: int, documents: int) -> list[Row]:
    """The rows of this benchmark."""
    world = World.make(folder, datetime.now(UTC) - timedelta(days=1))
    await fill(folder / "filled", world, messages)
    async with opened(folder / "empty", world) as empty, opened(folder / "filled", world) as filled:
        accepts: dict[Hub, list[Sample]] = {empty: [], filled: []}
        fetches: dict[Hub, list[Sample]] = {empty: [], filled: []}
        for repeat in range(repeats + 1):
            sealed = world.documents(1 + repeat * documents, documents)
            for hub in (empty, filled) if repeat % 2 else (filled, empty):
                accepts[hub].append(await hub.accept(sealed))
                fetches[hub].append(await hub.fetch(documents))
        before = await filled.payloads()
        alone, beside = await _beside_a_purge(filled, world, repeats=repeats, documents=documents)
        dropped = before + 2 * documents * (repeats + 1) - await filled.payloads()
    held = f"with {messages:,} delivered messages"
    return [
        *_rows(f"accepted {held}", accepts[filled], "an empty hub", accepts[empty]),
        *_rows(f"fetched {held}", fetches[filled], "an empty hub", fetches[empty]),
        _rows(f"accepted while payloads are dropped ({dropped} were)", beside, "no purge", alone)[0],
    ]


async def _beside_a_purge(hub: Hub, world: World, *, repeats: int, documents: int) -> tuple[list[Sample], list[Sample]]:
    """Samples of acceptance without and with the retention service at work on messages that are due."""
    alone: list[Sample] = []
    beside: list[Sample] = []
    for repeat in range(repeats + 1):
        sealed = world.documents(10_000_000 + repeat * 2 * documents, 2 * documents)
        alone.append(await hub.accept(sealed[:documents]))
        stop = asyncio.Event()
        purging = asyncio.create_task(retention_service(hub.exchange.retention)(stop))
        beside.append(await hub.accept(sealed[documents:]))
        stop.set()
        await purging
        await hub.database.write(_deliver_all)
    return alone, beside


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="1: a million messages; 0.01: ten thousand")
    parser.add_argument("--repeats", type=int, default=31)
    parser.add_argument("--documents", type=int, default=32, help="in each repeat, for each hub")
    options = parser.parse_args()
    configure_logs(LogFormat.TEXT, "error")
    messages = max(2, int(1_000_000 * options.scale))
    with tempfile.TemporaryDirectory(prefix="congvan-growth-") as name:
        rows = asyncio.run(measure(Path(name), messages=messages, repeats=options.repeats, documents=options.documents))
    table = Table("row", "value", "against", "reference", "ratio", title="Growth, on this machine")
    for row in rows:
        table.add_row(row.name, f"{row.value:.1f}", row.against, f"{row.reference:.1f}", f"{row.ratio:.3f}")
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
