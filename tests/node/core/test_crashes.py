"""A node that dies right before or right after any of its commits, and begins again: nothing is lost, nothing doubled.

From that commit on the node can write nothing more and is abandoned, which leaves what a kill leaves: what was
committed is there, what was not is gone. (Real kills of real processes are tests of the programs.)
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from sqlalchemy import Connection

from adapters.sdk import DeliveryKey
from node.store.states import HandoverState, OutboxState
from runtime.database_postgres import PostgresDatabase
from runtime.database_sqlite import SqliteDatabase
from runtime.grouped_writes import Work
from schemas.message import Document
from schemas.receipts import ReceiptEvent
from schemas.travel import parse_envelope, read_envelope
from tests.node.core.asking import verified
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, RecordingAdapter, eventually, open_node
from tests.node.core.world import G22, H23, World, document, envelope
from tests.services.columns import ON_SQLITE, DatabaseColumn

#: Whatever a node's record is kept in.
FORMS = (SqliteDatabase, PostgresDatabase)
Transact: TypeAlias = Callable[..., Awaitable[list[Any]]]

#: More commits than the way below takes when none of its writes share one; a later one than there is kills nobody.
COMMITS = 24
#: A column, a commit, and whether the kill comes after it: all on SQLite, before and after by turns on PostgreSQL.
KILLS = [("sqlite", number, after) for number in range(1, COMMITS + 1) for after in (False, True)] + [
    ("postgres", number, number % 2 == 0) for number in range(1, COMMITS + 1)
]


class Killed(Exception):  # noqa: N818 - no error: what a test does
    """The node is dead: nothing is written from here on."""


class Executioner:
    """Stops the database's writer for good, before or after its `number`-th commit from now."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, *, after: bool) -> None:
        self.struck = asyncio.Event()
        self._left = number
        self._after = after
        for form in FORMS:
            monkeypatch.setattr(form, "_transaction", self._struck(form._transaction))

    def _struck(self, commit: Transact) -> Transact:
        async def together(database: Any, works: Sequence[Work], durable: bool) -> list[Any]:
            self._left -= 1
            turn = self._left
            if turn < 0:
                raise Killed
            if turn == 0 and not self._after:
                self._strike()
            answers = await commit(database, works, durable)
            if turn == 0:
                self._strike()
            return answers

        return together

    def _strike(self) -> None:
        self.struck.set()
        raise Killed


async def everything_done(node: Node, hub: HubSimulator) -> bool:
    """Our document and status 01 are acknowledged, theirs is handed over, the hub is told."""
    status = await node.queries.status()
    return (
        status.outbox[OutboxState.ACCEPTED] == 2
        and status.handovers[HandoverState.HANDED_OVER] == 1
        and status.reports_waiting == 0
        and len({signed.receipt for signed in hub.receipts_reported()}) == 2
    )


async def live(node: Node, hub: HubSimulator, path: Path) -> None:
    """Submit a document (again, if need be) and run until everything is done."""
    await node.directory.sync(node.hub)
    async with node.running():
        await node.submit(document(), path, key="K")
        ends_at = asyncio.get_running_loop().time() + 30
        while not await everything_done(node, hub):
            assert asyncio.get_running_loop().time() < ends_at
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(("column", "number", "after"), KILLS, indirect=["column"])
async def test_killed_at_a_commit_and_begun_again(  # noqa: PLR0917 - fixtures
    world: World, hub: HubSimulator, tmp_path: Path, column: DatabaseColumn, number: int, after: bool
) -> None:
    """Killed at any commit and started again: one message each way, one status 01, one receipt of each event."""
    path = tmp_path / "lớn.bin"
    path.write_bytes(bytes(100_000))
    long = b"x" * 100_000
    incoming = world.sealed(envelope(document(G22, H23), b"short", long))
    entry = hub.deliver(incoming.data, [H23], [b"short", long], inline=False)
    adapter = RecordingAdapter()
    patch = pytest.MonkeyPatch()
    executioner = Executioner(patch, number, after=after)

    # The first life.
    life = asyncio.create_task(first_life(opened(world, hub, tmp_path, column, adapter), hub, path))
    struck = asyncio.create_task(executioner.struck.wait())
    await asyncio.wait({life, struck}, return_when=asyncio.FIRST_COMPLETED)
    for task in (life, struck):
        task.cancel()
    await asyncio.gather(life, struck, return_exceptions=True)

    # The second.
    patch.undo()
    if entry in hub.mailbox:
        hub.offer_again(entry)
    async with opened(world, hub, tmp_path, column, adapter) as node:
        await live(node, hub, path)
        rows = await node.queries.outbox()
        assert [row.key for row in rows if row.adapter == "test"] == ["K"]
        assert await node.database.read(no_orphans)

    sent = [read_envelope(parse_envelope(submission.data)).message for submission in hub.accepted.values()]
    assert sum(isinstance(message, Document) for message in sent) == 1
    assert len(sent) == 2
    assert set(adapter.keys) == {DeliveryKey(incoming.message_id, H23)}
    attested = defaultdict(set)
    for signed in hub.receipts_reported():
        attested[verified(signed, world).event].add(signed.receipt)
    assert {event: len(receipts) for event, receipts in attested.items()} == {
        ReceiptEvent.CONTENT_CONSIGNMENT: 1,
        ReceiptEvent.CONTENT_HANDOVER: 1,
    }


@asynccontextmanager
async def opened(
    world: World, hub: HubSimulator, folder: Path, column: DatabaseColumn, adapter: RecordingAdapter
) -> AsyncIterator[Node]:
    async with open_node(folder / "node", world.identity(), hub.url, column, adapter=adapter) as node:
        yield node


async def first_life(opening: AbstractAsyncContextManager[Node], hub: HubSimulator, path: Path) -> None:
    async with opening as node:
        await live(node, hub, path)


def no_orphans(connection: Connection) -> bool:
    """No row speaks of a message that is not there; PostgreSQL would not have one."""
    return connection.dialect.name != "sqlite" or connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []


@ON_SQLITE
async def test_the_way_has_no_more_commits_than_are_tried(
    world: World, hub: HubSimulator, tmp_path: Path, column: DatabaseColumn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way writes less often than the test above kills, so each commit is killed at however they group."""
    path = tmp_path / "lớn.bin"
    path.write_bytes(bytes(100_000))
    long = b"x" * 100_000
    hub.deliver(world.sealed(envelope(document(G22, H23), b"short", long)).data, [H23], [b"short", long], inline=False)
    writes = 0
    commit = SqliteDatabase._transaction

    async def counted(database: SqliteDatabase, works: Sequence[Work], durable: bool) -> list[Any]:
        nonlocal writes
        writes += len(works)
        return await commit(database, works, durable)

    monkeypatch.setattr(SqliteDatabase, "_transaction", counted)
    await first_life(opened(world, hub, tmp_path, column, RecordingAdapter()), hub, path)
    assert 6 <= writes <= COMMITS


async def test_resumes_after_it_was_stopped_in_the_middle(
    world: World, hub: HubSimulator, tmp_path: Path, column: DatabaseColumn
) -> None:
    """A daemon that is stopped while a submission is under way leaves it queued; the next one sends it."""
    hub.faults.hold = lambda _envelope: True
    async with open_node(tmp_path / "node", world.identity(), hub.url, column) as node:
        await node.directory.sync(node.hub)
        message_id = await node.submit(document())
        running = asyncio.create_task(hold_on(node))
        await eventually(lambda: hub.tries == [message_id])
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    hub.faults.hold = lambda _envelope: False
    async with open_node(tmp_path / "node", world.identity(), hub.url, column) as node, node.running("sender"):
        await eventually(lambda: message_id in hub.accepted)


async def hold_on(node: Node) -> None:
    async with node.running("sender"):
        await asyncio.Event().wait()
