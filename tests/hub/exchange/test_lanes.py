"""Lanes at volume: twenty thousand ordinary documents wait in a mailbox, and an express one is in the next batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection

from schemas.envelope import Selector, SelectorKind
from schemas.message import Priority
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import digest_of, document
from tests.hub.exchange.nodes import Node
from tests.services.columns import ON_SQLITE
from transport.wire import EnvelopeEntry, ReceiptEntry

WAITING = 20_000
LONG = bytes(range(256)) * 1200


def multiply(connection: Connection, *, copies: int = WAITING - 1) -> None:
    """Have many waiting documents like the newest one: each with its envelope, delivery, acceptance and entry."""
    (message,) = connection.exec_driver_sql("SELECT max(message) FROM messages").one()
    changed = {
        "message": "message + n",
        "message_id": "printf('%064x', message + n)",
        "receipt": "CASE WHEN receipt IS NULL THEN NULL ELSE receipt + n END",
        "entry": "entry + n",
    }
    for table in ("messages", "envelopes", "receipts", "deliveries", "mailbox_entries"):
        names = [row.name for row in connection.exec_driver_sql(f"PRAGMA table_info({table})")]
        columns = ", ".join(f'"{name}"' for name in names)
        values = ", ".join(changed.get(name, f'"{name}"') for name in names)
        connection.exec_driver_sql(
            f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {copies})"
            f" INSERT INTO {table} ({columns}) SELECT {values} FROM {table}, c WHERE message = ?",
            (message,),
        )


@ON_SQLITE
async def test_an_express_document_is_in_the_first_batch_whatever_waits_in_the_mailbox(
    world: World, g22: Node, h23: Node
) -> None:
    """With 20,000 ordinary documents in the recipient's mailbox, the express one submitted last is fetched first."""
    await g22.send(document("G22", "H23"))
    await world.database.write(multiply)
    assert await world.count("mailbox_entries WHERE open") == WAITING
    express = await g22.send(document("G22", "H23", priority=Priority.EXPRESS))
    first, *others = await h23.envelopes(limit=32)
    assert first.message_id == express.message_id
    assert len(others) == 31


async def test_an_express_receipt_comes_before_twenty_thousand_ordinary_ones(
    world: World, g22: Node, h23: Node
) -> None:
    """The receipt of an express document rides in its lane too."""
    await g22.send(document("G22", "H23"))
    for entry in await h23.envelopes():
        await h23.report(entry, "G22")

    def many_receipts(connection: Connection) -> None:
        connection.exec_driver_sql(
            "INSERT INTO mailbox_entries"
            " (connection, lane, message, receipt, weight, open, available_at, lapses, attempts)"
            f" WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {WAITING})"
            " SELECT connection, lane, message, receipt, weight, open, available_at, 0, 0 FROM mailbox_entries, c"
            " WHERE receipt IS NOT NULL"
        )

    await world.database.write(many_receipts)
    express = await g22.send(document("G22", "H23", priority=Priority.EXPRESS))
    (entry,) = await h23.envelopes()
    await h23.report(entry, "G22")
    answer = await g22.fetch(limit=8)
    first = answer.entries[0]
    assert isinstance(first, ReceiptEntry)
    assert express.message_id.encode() in first.receipt.receipt


async def test_an_express_document_overtakes_a_circular_that_is_being_written(
    world: World, g22: Node, h23: Node
) -> None:
    """While an ordinary circular to thousands is fanned out, an express document is in the mailbox at once."""
    units = [f"H40.{number}" for number in range(2000)]
    await world.join("units", *units)
    await g22.send(document("G22", selectors=(Selector(SelectorKind.PREFIX, "H40"),)))
    assert await world.count("fanout_batches") == 1
    express = await g22.send(document("G22", "H23", priority=Priority.EXPRESS))
    assert await world.count("fanout_batches") == 1
    assert [entry.message_id for entry in await h23.envelopes()] == [express.message_id]


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - no event tells of a request that has got so far
            await asyncio.sleep(0.01)


async def test_large_attachments_under_way_do_not_block_an_express_document(world: World, g22: Node, h23: Node) -> None:
    """Uploads that a sender has begun and downloads that a recipient reads slowly leave the way free."""
    contents = [LONG + bytes([number]) for number in range(12)]
    read = await g22.send(document("G22", "H23", attachments=[LONG]), LONG)
    (entry,) = await h23.envelopes()
    more = asyncio.Event()

    async def upload(content: bytes) -> None:
        data = g22.seal(document("G22", "H23", attachments=[content])).data
        (needed,) = (await g22.client.submit(data, {})).uploads

        async def pieces():
            yield content[:1000]
            await more.wait()
            yield content[1000:]

        await g22.client.upload(needed.location, 0, pieces())

    uploads = [asyncio.create_task(upload(content)) for content in contents]
    blob = partial(h23.client.blob, digest_of(LONG), start=0, lease=f"{entry.entry}:{entry.lease}")
    async with blob() as first, blob() as second:
        assert await anext(aiter(first))
        assert await anext(aiter(second))
        await _until(lambda: len(world.exchange.uploads.in_progress) == len(contents))
        express = await g22.send(document("G22", "H23", priority=Priority.EXPRESS))
        (fetched,) = [each for each in (await h23.fetch()).entries if isinstance(each, EnvelopeEntry)]
        assert fetched.message_id == express.message_id != read.message_id
        more.set()
        await asyncio.gather(*uploads)
