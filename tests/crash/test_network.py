"""The suite's line between node and hub: it carries bytes as they are, and breaks as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.crash.network import Line

HOST = "127.0.0.1"


@asynccontextmanager
async def echoing_line() -> AsyncIterator[Line]:
    """A line to a server that sends back what it gets."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65_536):
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, HOST, 0)
    line = Line(HOST)
    line.target = server.sockets[0].getsockname()[1]
    await line.open()
    try:
        yield line
    finally:
        await line.close()
        server.close()
        await server.wait_closed()


async def test_bytes_pass_as_they_are() -> None:
    """What goes into a line that nothing happens to comes out at the other end, both ways, to the last byte."""
    sent = bytes(range(256)) * 4096
    async with echoing_line() as line:
        reader, writer = await asyncio.open_connection(HOST, line.port)
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()


async def test_a_dropped_line_ends_and_a_reset_line_breaks() -> None:
    """`drop` ends connections in order, `reset` by RST, and new ones are taken after either."""
    async with echoing_line() as line:
        reader, writer = await talking(line)
        assert line.drop() == 1
        assert line.drop() == 0
        assert await reader.read() == b""
        writer.close()
        reader, writer = await talking(line)
        assert line.reset() == 1
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        _, writer = await talking(line)
        writer.close()


async def test_a_refused_line_is_open_again_at_the_same_port() -> None:
    """While refused nobody connects; `open` makes the same port answer again."""
    async with echoing_line() as line:
        port = line.port
        await line.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, port)
        await line.open()
        assert line.port == port
        _, writer = await talking(line)
        writer.close()


async def test_a_stalled_line_carries_nothing_until_it_flows() -> None:
    """Nothing passes while a line is stalled, and nothing is missing afterwards."""
    async with echoing_line() as line:
        reader, writer = await talking(line)
        line.stall()
        writer.write(b"late")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(1), 0.2)
        assert line.held == 1
        line.flow()
        assert await reader.readexactly(4) == b"late"
        writer.close()


async def test_a_line_is_cut_in_the_middle() -> None:
    """A connection that has carried its bytes is reset before the whole went through."""
    async with echoing_line() as line:
        line.cut_after = 100_000
        reader, writer = await talking(line)
        writer.write(bytes(1_000_000))
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1_000_000)
        assert line.cuts == 1
        writer.close()


async def talking(line: Line) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection through which a byte went and came back."""
    reader, writer = await asyncio.open_connection(HOST, line.port)
    writer.write(b".")
    assert await reader.readexactly(1) == b"."
    return reader, writer


async def test_a_fault_may_wait_for_a_connection_to_strike() -> None:
    """`carries` is false of a line that nobody uses, and true as soon as somebody does."""
    async with echoing_line() as line:
        assert not await line.carries(0.05)
        waiting = asyncio.create_task(line.carries(60))
        reader, writer = await talking(line)
        assert await waiting
        assert line.reset() == 1
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
