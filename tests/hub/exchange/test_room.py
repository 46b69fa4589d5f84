"""Room on the disk is promised before an upload begins: never twice, never more than there is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from hub.store import space
from hub.usecases.space import Room
from schemas.errors import Unavailable
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import digest_of, document
from tests.hub.exchange.nodes import Node, rejection
from transport.wire import SubmissionState

SIZE = 300_000


@dataclass(slots=True)
class Disk:
    """A disk of so many bytes below the hub's attachments, on which what is uploaded takes room."""

    world: World
    total: int | None

    def free(self) -> int | None:
        if self.total is None:
            return None
        folder = self.world.folder / "attachments"
        return self.total - sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def disk(world: World, monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(world, 2 * SIZE + 1000)
    monkeypatch.setattr(world.files, "free_bytes", disk.free)
    return disk


def _content(number: int) -> bytes:
    return number.to_bytes(2, "big") * (SIZE // 2)


async def _bytes(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _promised(world: World) -> int:
    return await world.database.read(lambda transaction: space.promised(transaction, now=world.clock()))


async def test_uploads_that_begin_at_once_are_promised_no_more_than_there_is(
    world: World, disk: Disk, g22: Node, h23: Node, h31: Node
) -> None:
    """Of three submissions at once, each of which would fit alone, those begin that fit together; all who began end."""
    nodes = [("G22", g22), ("H31", h31), ("H23", h23)]
    sealed = [
        node.seal(document(code, "H23" if code != "H23" else "G22", attachments=[_content(number)])).data
        for number, (code, node) in enumerate(nodes)
    ]
    calls = (node.client.submit(data, {}) for (_, node), data in zip(nodes, sealed, strict=True))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert [type(error) for error in refused] == [Unavailable]
    assert isinstance(refused[0], Unavailable)
    assert refused[0].code == "storage-full"
    assert await _promised(world) == 2 * SIZE
    for number, ((_, node), data, answer) in enumerate(zip(nodes, sealed, answers, strict=True)):
        if not isinstance(answer, BaseException):
            await node.client.upload(answer.uploads[0].location, 0, _bytes(_content(number)))
            assert (await node.client.submit(data, {})).state is SubmissionState.ACCEPTED
    assert await _promised(world) == 0


async def test_what_came_is_not_promised_any_more(world: World, disk: Disk, g22: Node, h23: Node) -> None:
    """Bytes that are on the disk are counted once: as used. A broken upload keeps the promise of its rest."""
    data = g22.seal(document("G22", "H23", attachments=[_content(1)])).data
    (needed,) = (await g22.client.submit(data, {})).uploads
    await g22.client.upload(needed.location, 0, _bytes(_content(1)[:100_000]))
    assert await _promised(world) == SIZE - 100_000


async def test_room_is_free_again_when_a_submission_ends(world: World, disk: Disk, g22: Node, h23: Node) -> None:
    """Refused bytes keep the promise for their second try; a submission that is given up gives its room back."""
    data = g22.seal(document("G22", "H23", attachments=[_content(1)])).data
    (needed,) = (await g22.client.submit(data, {})).uploads
    assert (await rejection(g22.client.upload(needed.location, 0, _bytes(_content(2))))).code == "attachment-digest"
    assert await _promised(world) == SIZE
    world.clock.advance(days=2)
    await world.exchange.leavings.drop_submissions()
    assert await _promised(world) == 0


async def test_attachments_in_a_body_are_promised_room_as_well(
    world: World, disk: Disk, g22: Node, h23: Node, h31: Node
) -> None:
    """What comes beside its envelope finds no room that is promised to uploads; what it was promised is given back."""
    for node, code, number in ((g22, "G22", 1), (h31, "H31", 2)):
        await node.client.submit(node.seal(document(code, "H23", attachments=[_content(number)])).data, {})
    body = g22.seal(document("G22", "H23", attachments=[_content(3)])).data
    error = await rejection(g22.client.submit(body, {digest_of(_content(3)): _content(3)}))
    assert error.code == "storage-full"
    disk.total = 3 * SIZE + 1000
    answer = await g22.client.submit(body, {digest_of(_content(3)): _content(3)})
    assert answer.state is SubmissionState.ACCEPTED
    assert await _promised(world) == 2 * SIZE


async def test_a_promise_to_a_body_ends_with_its_process(world: World, disk: Disk) -> None:
    """A process that died in the middle of a body holds its room for an hour, not for ever."""
    room = Room(world.database, world.files, world.clock, spare=0)
    promise = room.promised("a" * 32, SIZE)
    await promise.__aenter__()
    assert await _promised(world) == SIZE
    world.clock.advance(hours=1)
    assert await _promised(world) == 0
    await promise.__aexit__(None, None, None)


async def test_one_connection_cannot_reserve_the_room_of_all(
    world: World, disk: Disk, g22: Node, h23: Node, h31: Node
) -> None:
    """Several submissions of one connection are promised half of the room at most; a single one may have all."""
    first = g22.seal(document("G22", "H23", attachments=[_content(1)])).data
    second = g22.seal(document("G22", "H23", attachments=[_content(2)])).data
    await g22.client.submit(first, {})
    assert (await rejection(g22.client.submit(second, {}))).code == "too-many-requests"
    other = h31.seal(document("H31", "H23", attachments=[_content(3)])).data
    assert (await h31.client.submit(other, {})).state is SubmissionState.INCOMPLETE


async def test_nothing_is_promised_where_the_store_has_no_limit(world: World, disk: Disk, g22: Node, h23: Node) -> None:
    """Object storage tells of no limit: submissions wait for no room."""
    disk.total = None
    for number in range(4):
        data = g22.seal(document("G22", "H23", attachments=[_content(number)])).data
        assert (await g22.client.submit(data, {})).state is SubmissionState.INCOMPLETE
