"""A hub's exchange in this process, without its listeners: accepts and hands out sealed documents, and is timed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry
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
from runtime.agreed_clock import AgreedClock
from runtime.blob_folder import BlobFolder
from runtime.clock import utc_now
from runtime.database import Database, open_database
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
        await self.deliver_all()
        return sample

    async def deliver_all(self) -> None:
        """Have all that was fetched be delivered, without the receipts."""
        await self.database.write(_deliver_all)

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
            clock=utc_now,
            certain=AgreedClock(database, utc_now).now,
            chance=Random(1),
            stop=asyncio.Event(),
        )
        yield Hub(database, exchange)


def _deliver_all(transaction: Connection) -> None:
    transaction.exec_driver_sql(
        "UPDATE deliveries SET state = 'delivered' WHERE message IN (SELECT message FROM mailbox_entries WHERE open)"
    )
    transaction.exec_driver_sql("UPDATE mailbox_entries SET open = 0, lease = NULL WHERE open")
