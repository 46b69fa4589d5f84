"""Connections of a hub outward: made by the loop, without a Python socket that could close another's file."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest
import uvloop
from aiohttp import web

from transport.loop_connector import LoopConnector


@pytest.fixture
def no_socket_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(*_arguments: object, **_options: object) -> socket.socket:
        raise AssertionError("aiohttp connected a socket of its own")

    monkeypatch.setattr("aiohappyeyeballs.start_connection", connect)


async def answered() -> str:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="here")

    application = web.Application()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        async with (
            aiohttp.ClientSession(connector=LoopConnector()) as session,
            session.get(f"http://127.0.0.1:{site.port}/") as response,
        ):
            return await response.text()
    finally:
        await runner.cleanup()


def test_the_loop_connects(no_socket_of_python: None) -> None:
    """On the hub's loop an answer comes over a connection for which aiohttp made no socket."""
    assert uvloop.run(answered()) == "here"


@pytest.mark.parametrize(
    ("scheme", "expected"), [("http", aiohttp.ClientConnectorError), ("https", aiohttp.ClientConnectorSSLError)]
)
async def test_failures_are_told_as_aiohttp_tells_them(scheme: str, expected: type[aiohttp.ClientError]) -> None:
    """Nobody listening and something that speaks no TLS are the same errors as with aiohttp's own connector."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"no TLS here\r\n" * 100)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if scheme == "http":
        server.close()
        await server.wait_closed()
    async with aiohttp.ClientSession(connector=LoopConnector(ssl=ssl.create_default_context())) as session:
        with pytest.raises(expected):
            await session.get(f"{scheme}://127.0.0.1:{port}/")
    server.close()


def test_the_hub_connects_by_nothing_else() -> None:
    """No session of the hub has a connector of aiohttp's own."""
    root = Path(__file__).parents[2]
    files = [*root.glob("hub/**/*.py"), root / "transport" / "push_client.py"]
    sessions = [
        (file, match.group())
        for file in files
        for match in re.finditer(r"ClientSession\([^)]*|TCPConnector\(", file.read_text(encoding="utf-8"))
    ]
    assert len(sessions) >= 2
    assert [one for one in sessions if "connector=" not in one[1]] == []
