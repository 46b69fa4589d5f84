"""One document to 20,000 agencies, until the last mailbox holds it, against as many rows written into the database.

The sender brings an envelope that names a prefix; the clock runs from its submission until the hub has nothing of it
left to fan out. Every agency has a node of its own, so there are 20,000 mailboxes; beside it the same with the agencies
on 95 connections, as they are in this country. The floor is one `executemany` of 20,000 rows into a table of the hub's
own database, in one transaction, synced.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final

from sqlalchemy import Connection

from benchmarks.documents import SENDER, letter
from benchmarks.exchange import MEMBERS, PATIENCE
from benchmarks.measurement import Run
from benchmarks.rows import Pair, Result, Row, at_most
from certs.sealing import seal
from congvan.demo.site import Site
from hub.foundation import open_foundation as open_hub
from hub.settings import HubFolder
from hub.store import agencies, connections
from node.foundation import open_foundation as open_node
from node.settings import NodeFolder
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry
from schemas.envelope import Envelope, Extension, Selector, SelectorKind
from schemas.errors import Unavailable
from schemas.message import TraceHeader
from schemas.times import TimestampText

_FLOOR: Final = "executemany of as many rows into the same database"
EACH = Row(
    "broadcast", "broadcast to 20,000 agencies with a mailbox each, until the last holds it", "s", _FLOOR, at_most(3)
)
SHARED = Row("broadcast-shared", "the same, the agencies on 95 connections", "s", _FLOOR)

#: The agencies below each prefix have a connection each, or share these.
_PREFIXES: Final = {EACH: ("K71", None), SHARED: ("K72", 95)}


class Broadcast:
    rows: ClassVar[tuple[Row, ...]] = (EACH, SHARED)

    async def measure(self, run: Run) -> Sequence[Result]:
        recipients = run.of(quick=5000, full=20_000)
        folder = run.folder / "broadcast"
        folder.mkdir()
        site = Site(folder, MEMBERS[:1])
        await site.set_up()
        pairs: dict[Row, list[Pair]] = {row: [] for row in self.rows}
        try:
            await site.hub.stop()
            async with open_hub(HubFolder(site.hub_folder)) as hub:
                for prefix, shared in _PREFIXES.values():
                    await hub.database.write(lambda t, p=prefix, s=shared: enter(t, p, recipients, s))  # type: ignore[misc]
            await site.start_hub()
            number = 0
            for repeat in range(run.repeats):
                run.tell(f"broadcast to {recipients:,}: {repeat + 1} of {run.repeats}")
                for row, (prefix, _) in _PREFIXES.items():
                    number += 1
                    floor = await asyncio.to_thread(_executemany, site, recipients)
                    pairs[row].append(Pair(await _broadcast(site, number, prefix, recipients), floor))
        finally:
            await site.stop()
        return [Result(row, f"{recipients:,} recipients", tuple(pairs[row])) for row in self.rows]


def enter(transaction: Connection, prefix: str, count: int, shared: int | None) -> None:
    """Have `count` agencies below `prefix`, on `shared` connections or on one each."""
    now = datetime.now(UTC)
    on = [f"{prefix}-{number}".lower() for number in range(shared or count)]
    for connection in on:
        connections.add(transaction, connection, connection, at=now)
    for number in range(count):
        code = AgencyCode(f"{prefix}.{number // 1000 + 1}.{number % 1000 + 1}")
        entry = AgencyEntry(code=code, name=f"{prefix} {number}", connection=on[number % len(on)])
        agencies.add(transaction, entry, at=now)


async def _broadcast(site: Site, number: int, prefix: str, recipients: int) -> float:
    """Seconds from the submission until the last mailbox holds it."""
    now = datetime.now(UTC)
    trace = (TraceHeader(organ_id=AgencyCode(SENDER), timestamp=TimestampText.of(now)),)
    document = replace(letter(number, to=()), trace=trace)
    extension = Extension(submission_id=f"bench-{number}", selectors=(Selector(SelectorKind.PREFIX, prefix),))
    async with open_node(NodeFolder(site.node_folder(SENDER))) as node, node.hub_client() as client:
        await client.mailbox(wait=0, limit=0)  # the connection is open
        sealed = seal(Envelope(document, extension), node.identity.seal, now)
        begun = time.monotonic()
        await client.submit(sealed.data, {})
        while not _is_fanned_out(site):
            if time.monotonic() > begun + PATIENCE:
                raise Unavailable("benchmark-stuck", "The broadcast does not reach its last mailbox.")
            await asyncio.sleep(0.005)
        seconds = time.monotonic() - begun
    if (found := _recipients(site, sealed.message_id)) != recipients:
        raise Unavailable("benchmark-wrong", f"The broadcast has {found} deliveries, not {recipients}.")
    return seconds


def _database(site: Site) -> Path:
    return HubFolder(site.hub_folder).data / "hub.db"


def _is_fanned_out(site: Site) -> bool:
    return _ask(site, "SELECT count(*) FROM fanout_batches") == 0


def _recipients(site: Site, message_id: str) -> int:
    return _ask(
        site, f"SELECT count(*) FROM deliveries JOIN messages USING (message) WHERE message_id = '{message_id}'"
    )


def _ask(site: Site, question: str) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{_database(site)}?mode=ro", uri=True, timeout=30)) as connection:
        answer: int = connection.execute(question).fetchone()[0]
        return answer


def _executemany(site: Site, count: int) -> float:
    """Seconds for `count` rows like deliveries in one transaction."""
    rows = [(1, f"K71.{number}", f"k71-{number}", "queued", number) for number in range(count)]
    with contextlib.closing(sqlite3.connect(_database(site), isolation_level=None, timeout=30)) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(
            "CREATE TABLE benchmark_rows (message INTEGER NOT NULL, recipient TEXT NOT NULL, connection TEXT NOT NULL,"
            " state TEXT NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (message, recipient)) WITHOUT ROWID"
        )
        begun = time.monotonic()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO benchmark_rows VALUES (?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
        seconds = time.monotonic() - begun
        connection.execute("DROP TABLE benchmark_rows")
        return seconds
