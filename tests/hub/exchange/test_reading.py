"""Attachments as they are read: by ranges, by those whose message names them, under a lease that is kept alive."""

from __future__ import annotations

import pytest

from schemas.codes import AgencyCode
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import digest_of, document
from tests.hub.exchange.nodes import Node, rejection
from tests.hub.exchange.test_operator import cancel
from transport.wire import OutcomeKind

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


@pytest.mark.parametrize(("tag", "status"), [("sha256-{digest}", 206), ("sha256-other", 200)])
async def test_a_range_is_for_who_has_the_rest_of_the_same_bytes(tag: str, status: int, g22: Node, h23: Node) -> None:
    """The tag of an attachment is its digest; a range asked for under another one (If-Range) gets the whole."""
    await g22.send(document("G22", "H23", attachments=[LONG]), LONG)
    headers = {"Range": "bytes=5-", "If-Range": '"' + tag.format(digest=digest_of(LONG)) + '"'}
    async with h23.session.get(_url(h23, LONG), headers=headers) as answer:
        assert (answer.status, answer.headers["ETag"]) == (status, f'"sha256-{digest_of(LONG)}"')
        assert await answer.read() == (LONG[5:] if status == 206 else LONG)


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


class TestOneRule:
    """Envelope and attachments answer the same connections."""

    async def test_a_recipient_reads_while_it_is_offered_and_once_it_has_taken(
        self, world: World, g22: Node, h23: Node, h31: Node
    ) -> None:
        """Before, under a lease and after the consignment it reads both; others neither."""
        message_id = (await g22.send(document("G22", "H23", attachments=[SHORT]), SHORT)).message_id
        assert await _both(h23, message_id) == (True, True)
        (entry,) = await h23.envelopes()
        claim = f"{entry.entry}:{entry.lease}"
        assert await _both(h23, message_id, claim) == (True, True)
        await h23.report(entry, "G22")
        assert await _both(h23, message_id, claim) == (True, True)
        assert await _both(h31, message_id, claim) == (False, False)

    @pytest.mark.parametrize("end", ["refused", "expired", "cancelled"])
    async def test_a_recipient_whose_delivery_ended_reads_no_more_and_the_sender_does(
        self, end: str, world: World, g22: Node, h23: Node
    ) -> None:
        """After a refusal, an expiry or a cancellation both are gone for it, also by the lease that it had.

        That it took another message before changes nothing.
        """
        await g22.send(document("G22", "H23"))
        (taken,) = await h23.envelopes()
        await h23.report(taken, "G22")
        message_id = (await g22.send(document("G22", "H23", attachments=[SHORT]), SHORT)).message_id
        (entry,) = await h23.envelopes()
        if end == "refused":
            await h23.report(entry, "G22", OutcomeKind.REFUSED)
        elif end == "cancelled":
            await cancel(world, message_id)
        else:
            world.clock.advance(days=60)
            await world.exchange.expiry.run()
        assert await world.count(f"deliveries WHERE state = '{end}'") == 1
        assert await _both(h23, message_id, f"{entry.entry}:{entry.lease}") == (False, False)
        assert await _both(g22, message_id) == (True, True)

    async def test_of_two_agencies_of_one_node_one_suffices(self, world: World, g22: Node, h23: Node) -> None:
        """While one of a connection's agencies is offered the message, what another refused hinders nothing."""
        message_id = (await g22.send(document("G22", "H23", "H23.12", attachments=[SHORT]), SHORT)).message_id
        await cancel(world, message_id, AgencyCode("H23.12"))
        assert await _both(h23, message_id) == (True, True)


async def _both(node: Node, message_id: str, claim: str | None = None) -> tuple[bool, bool]:
    """Whether `node` may read the envelope of a message, and its attachment."""
    headers = {"Congvan-Lease": claim} if claim else {}
    found = []
    for path in (f"/v1/messages/{message_id}/envelope", f"/v1/blobs/{digest_of(SHORT)}"):
        async with node.session.get(node.client._hub.with_path(path), headers=headers) as answer:
            assert answer.status in (200, 404)
            found.append(answer.status == 200)
    return found[0], found[1]
