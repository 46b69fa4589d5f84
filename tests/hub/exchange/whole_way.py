"""Everything that the exchange does to its database, and what it says to it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from schemas.envelope import Selector, SelectorKind
from schemas.message import BusinessType, Priority, StatusCode
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import digest_of, document, status
from tests.hub.exchange.nodes import Node, rejection
from transport.wire import OutcomeKind

LONG = bytes(range(256)) * 1200


@contextmanager
def statements() -> Iterator[dict[str, Any]]:
    """Every statement that any database is asked or told meanwhile, with the parameters of its first run."""
    said: dict[str, Any] = {}

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if re.match(r"SELECT|UPDATE|DELETE", statement):
            said.setdefault(statement, parameters[0] if many else parameters)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def the_whole_way(world: World, g22: Node, h23: Node) -> None:
    """The whole way of several documents: every statement of the requests and of the services beside them."""
    await g22.send(document("G22", "H23", "H23.12", attachments=[LONG, b"short"]), LONG, b"short")
    waiting = g22.seal(document("G22", selectors=(Selector(SelectorKind.PREFIX, "H23"),), attachments=[LONG[::-1]]))
    (needed,) = (await g22.client.submit(waiting.data, {})).uploads
    await g22.client.upload_offset(needed.location)

    async def content() -> AsyncIterator[bytes]:
        yield LONG[::-1]

    await g22.client.upload(needed.location, 0, content())
    about = (await g22.client.submit(waiting.data, {})).message_id
    await g22.client.submit(waiting.data, {})
    await g22.send(document("G22", "H23", business=BusinessType.RECALL, about=(about,), priority=Priority.EXPRESS))
    await h23.send(status("H23", StatusCode.ACCEPTED, about))
    await g22.send(status("G22", StatusCode.TAKEN_BACK, about))
    await world.exchange.fanout.step()
    recall, first, second, third = await h23.envelopes()
    async with h23.client.blob(digest_of(LONG), start=5, lease=f"{first.entry}:{first.lease}") as chunks:
        assert [chunk async for chunk in chunks]
    async with h23.client.blob(digest_of(LONG), start=0, lease="1:0") as chunks:
        assert [chunk async for chunk in chunks]
    await h23.report(recall, "G22")
    await h23.report(first, "G22", codes=("H23",))
    await h23.report(second, "G22", OutcomeKind.REFUSED)
    await h23.hand_over(recall.message_id, "G22", "H23")
    await g22.client.message(about)
    await h23.client.message(about)
    for entry in await g22.receipts():
        await g22.received(entry)
    await g22.client.submit(g22.seal(document("G22", "H23", attachments=[LONG])).data, {})
    world.clock.advance(days=31)
    await world.exchange.expiry.run()
    await world.exchange.leavings.drop_submissions()
    await world.exchange.leavings.drop_files()
    world.clock.advance(days=31)
    while await world.exchange.retention.step():
        pass
    await rejection(_read_all(h23, digest_of(LONG)))
    assert third.entry


async def _read_all(node: Node, digest: str) -> None:
    async with node.client.blob(digest, start=0, lease="0:0") as chunks:
        assert [chunk async for chunk in chunks]
