"""Fair shares: connections take turns at the disk, and each has so many transfers at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from hub.settings_exchange import ExchangeSettings
from hub.usecases.turns import Turns
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import document
from tests.hub.exchange.nodes import Node, rejection

LONG = bytes(range(256)) * 1200


async def _move(turns: Turns, connection: str, pieces: int, order: list[str]) -> None:
    for _ in range(pieces):
        async with turns.turn(connection):
            order.append(connection)
            await asyncio.sleep(0)


@pytest.mark.parametrize("at_once", [1, 2])
async def test_a_connection_gets_no_more_for_having_more_transfers(at_once: int) -> None:
    """Beside twenty transfers of one connection the single one of another gets every second turn, or every third."""
    turns, order = Turns(at_once), list[str]()
    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(_move(turns, "many", 50, order))
        group.create_task(_move(turns, "one", 50, order))
    last = len(order) - 1 - order[::-1].index("one")
    assert last <= (1 + at_once) * 50 + at_once
    assert len(order) == 21 * 50


async def test_a_turn_that_comes_to_one_who_has_left_is_the_next_ones() -> None:
    """Who is cancelled while waiting, or in the moment in which its turn comes, takes no turn away."""
    turns = Turns(1)
    held = turns.turn("first")
    await held.__aenter__()
    order: list[str] = []
    waiting = [asyncio.create_task(_move(turns, name, 1, order)) for name in ("second", "third", "fourth")]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    await held.__aexit__(None, None, None)
    waiting[1].cancel()
    await asyncio.wait(waiting)
    assert order == ["fourth"]
    async with asyncio.timeout(1), turns.turn("fifth"):
        pass


async def test_a_reader_that_is_slow_holds_no_turn() -> None:
    """Turns are for the disk: a peer that takes its time over a piece keeps nobody waiting."""

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b"1"
        yield b"2"

    turns = Turns(1)
    read = turns.read("slow", pieces())
    assert await anext(read) == b"1"
    async with asyncio.timeout(1), turns.turn("other"):
        pass
    await read.aclose()


class TestPlaces:
    """How many uploads of a connection run at a time is bounded."""

    @pytest.fixture
    def settings(self) -> ExchangeSettings:
        return ExchangeSettings.model_validate({"submissions": {"spare_bytes": 0, "transfers": 1}})

    async def test_an_upload_beyond_the_places_is_for_later(
        self, world: World, g22: Node, h23: Node, h31: Node
    ) -> None:
        """The second upload of a connection waits for the first; another connection's begins beside it."""
        data = [g22.seal(document("G22", "H23", attachments=[LONG])).data for _ in range(2)]
        locations = [(await g22.client.submit(each, {})).uploads[0].location for each in data]
        other = h31.seal(document("H31", "H23", attachments=[LONG])).data
        (of_other,) = (await h31.client.submit(other, {})).uploads
        began, go_on = asyncio.Event(), asyncio.Event()

        async def stalling() -> AsyncIterator[bytes]:
            yield LONG[:280_000]
            began.set()
            await go_on.wait()

        async def whole() -> AsyncIterator[bytes]:
            yield LONG

        first = asyncio.create_task(g22.client.upload(locations[0], 0, stalling()))
        await began.wait()
        while await g22.client.upload_offset(locations[0]) == 0:  # noqa: ASYNC110 - it can only be asked for
            await asyncio.sleep(0.01)
        assert (await rejection(g22.client.upload(locations[1], 0, whole()))).code == "too-many-requests"
        assert await h31.client.upload(of_other.location, 0, whole()) == len(LONG)
        go_on.set()
        assert await first == 280_000
        assert await g22.client.upload(locations[1], 0, whole()) == len(LONG)
