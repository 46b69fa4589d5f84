"""Attachments as they are read: by ranges, by those whose message names them, under a lease that is kept alive."""

from __future__ import annotations

import pytest

from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import digest_of, document
from tests.hub.exchange.nodes import Node, rejection

LONG = bytes(range(256)) * 1200
SHORT = b"phu luc"
SIZE = len(LONG)


@pytest.mark.parametrize("content", [LONG, SHORT], ids=["long", "short"])
async def test_sender_and_recipients_read_and_nobody_else(
    content: bytes, world: World, g22: Node, h23: Node, h31: Node
) -> None:
    """An attachment answers those who sent or receive a message that names it; for others it does not exist."""
    await g22.send(document("G22", "H23", attachments=[content]), content)
    for reader in (g22, h23):
        async with reader.session.get(_url(reader, content)) as answer:
            assert (answer.status, await answer.read()) == (200, content)
    async with h31.session.get(_url(h31, content)) as refused, h31.session.get(_url(h31, b"nowhere")) as nothing:
        assert refused.status == nothing.status == 404
        assert await refused.read() == await nothing.read()


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-", 0, SIZE),
        ("bytes=1000-", 1000, SIZE),
        ("bytes=0-0", 0, 1),
        ("bytes=500-999", 500, 1000),
        ("bytes=300000-999999999", 300_000, SIZE),
        ("bytes=-10", SIZE - 10, SIZE),
        ("bytes=-999999999", 0, SIZE),
    ],
)
async def test_a_range_gives_just_those_bytes(asked: str, start: int, end: int, g22: Node, h23: Node) -> None:
    """A ranged read answers 206 with the bytes asked for, as far as there are any."""
    await g22.send(document("G22", "H23", attachments=[LONG]), LONG)
    async with h23.session.get(_url(h23, LONG), headers={"Range": asked}) as answer:
        assert (answer.status, await answer.read()) == (206, LONG[start:end])
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{SIZE}"
        assert int(answer.headers["Content-Length"]) == end - start


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", "bytes=999999999-", "bytes=-0"])
async def test_a_range_beyond_the_end_is_refused(asked: str, g22: Node, h23: Node) -> None:
    """A range with no bytes in it answers 416 and says how long the attachment is."""
    await g22.send(document("G22", "H23", attachments=[LONG]), LONG)
    async with h23.session.get(_url(h23, LONG), headers={"Range": asked}) as answer:
        assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{SIZE}")
        assert (await answer.json(content_type="application/problem+json"))["code"] == "range"


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=0-1,5-6", "lines=1-2", "bytes=", "bytes=a-b"])
async def test_a_range_that_is_none_is_passed_over(asked: str, g22: Node, h23: Node) -> None:
    """RFC 9110 lets a server ignore a Range header: what is malformed, or asks for several, gets the whole."""
    await g22.send(document("G22", "H23", attachments=[LONG]), LONG)
    async with h23.session.get(_url(h23, LONG), headers={"Range": asked}) as answer:
        assert (answer.status, await answer.read()) == (200, LONG)


async def test_reading_renews_the_lease(world: World, g22: Node, h23: Node) -> None:
    """While an attachment is read the entry stays with its reader; without reads it is offered again."""
    await g22.send(document("G22", "H23", attachments=[LONG]), LONG)
    (entry,) = await h23.envelopes()
    world.clock.advance(seconds=50)
    await _read(h23, f"{entry.entry}:{entry.lease}")
    world.clock.advance(seconds=50)
    assert await h23.envelopes() == []
    world.clock.advance(seconds=11)
    assert [again.entry for again in await h23.envelopes()] == [entry.entry]


async def test_only_the_current_lease_is_renewed(world: World, g22: Node, h23: Node) -> None:
    """A reader with a token that is not the entry's reads, but keeps nothing from others."""
    await g22.send(document("G22", "H23", attachments=[LONG]), LONG)
    (entry,) = await h23.envelopes()
    world.clock.advance(seconds=50)
    await _read(h23, f"{entry.entry}:{'0' * 32}")
    world.clock.advance(seconds=11)
    assert [again.entry for again in await h23.envelopes()] == [entry.entry]


async def test_a_lease_of_another_opens_nothing(g22: Node, h23: Node, h31: Node) -> None:
    """Naming somebody else's entry, lease and all, does not make an attachment readable."""
    await g22.send(document("G22", "H23", attachments=[LONG]), LONG)
    (entry,) = await h23.envelopes()
    error = await rejection(_read(h31, f"{entry.entry}:{entry.lease}"))
    assert error.code == "blob-unknown"


async def _read(node: Node, lease: str) -> bytes:
    async with node.client.blob(digest_of(LONG), start=0, lease=lease) as chunks:
        return b"".join([chunk async for chunk in chunks])


def _url(node: Node, content: bytes) -> object:
    return node.client._hub.with_path(f"/v1/blobs/{digest_of(content)}")
