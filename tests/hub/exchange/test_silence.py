"""Peers that fall silent: they hold no request, no file and no place for longer than the settings let them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest

from hub.settings_exchange import ExchangeSettings
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import digest_of, document
from tests.hub.exchange.nodes import Node

LONG = bytes(range(256)) * 120_000


@pytest.fixture
def settings() -> ExchangeSettings:
    return ExchangeSettings.model_validate({"submissions": {"spare_bytes": 0, "silence_seconds": 0.2}})


async def _stalling(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    await asyncio.sleep(60)


async def test_a_submission_that_stalls_is_ended(world: World, g22: Node) -> None:
    """A peer that stops in the middle of an envelope is told to come again, and leaves nothing."""
    url = g22.client._hub.with_path("/v1/envelopes")
    kind = {"Content-Type": "application/xml"}
    async with g22.session.post(url, data=_stalling(b"<edXML>"), headers=kind) as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (503, "request-timeout")
    assert await world.is_empty()


@pytest.mark.parametrize("said", [b"", b"--B\r\nContent-Disp"])
async def test_a_submission_that_stalls_between_its_parts_is_ended(world: World, g22: Node, said: bytes) -> None:
    """A peer that stops before a part, or in the middle of a part's head, holds its place no longer than another."""
    url = g22.client._hub.with_path("/v1/envelopes")
    kind = {"Content-Type": "multipart/form-data; boundary=B"}
    async with g22.session.post(url, data=_stalling(said), headers=kind) as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (503, "request-timeout")
    assert await world.is_empty()


async def test_an_upload_that_stalls_is_ended_and_keeps_what_came(g22: Node, h23: Node) -> None:
    """What came before the silence need not come again."""
    data = g22.seal(document("G22", "H23", attachments=[LONG])).data
    (needed,) = (await g22.client.submit(data, {})).uploads
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": "0",
        "Content-Type": "application/offset+octet-stream",
    }
    url = g22.client._hub.with_path(needed.location)
    async with g22.session.patch(url, data=_stalling(LONG[:5000]), headers=headers) as answer:
        assert answer.status == 503
    assert await g22.client.upload_offset(needed.location) == 5000


async def test_a_reader_that_takes_nothing_is_cut_off(world: World, g22: Node, h23: Node) -> None:
    """A peer that asks for an attachment and does not read it holds no file open."""
    data = g22.seal(document("G22", "H23", attachments=[LONG])).data
    (needed,) = (await g22.client.submit(data, {})).uploads

    async def content() -> AsyncIterator[bytes]:
        yield LONG

    await g22.client.upload(needed.location, 0, content())
    await g22.client.submit(data, {})
    host, port = world.url.host, world.url.port
    reader, writer = await asyncio.open_connection(host, port, limit=1024)
    path = quote(f"/v1/blobs/{digest_of(LONG)}")
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nTest-Connection: vpcp\r\n\r\n".encode())
    await writer.drain()
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    await asyncio.wait_for(world.requests.ended(), 30)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await reader.readexactly(len(LONG))
    writer.close()
