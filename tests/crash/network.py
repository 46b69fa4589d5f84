"""The network between one node and the hub: a TCP proxy that carries bytes as they are, and can be cut.

TLS passes through it: what it breaks is what a cable, a firewall or a router breaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from typing import Final

_CHUNK: Final = 64 * 1024
#: Seconds between two looks for a connection.
_LOOK: Final = 0.02


class Line:
    """A listening port of `host` that leads to the port `target`.

    `held` and `cuts` grow with every chunk that a stalled line held up, and with every connection cut in the middle.
    `cut_after`: a connection is reset as soon as so many bytes have gone through it in one direction (None: never).
    """

    def __init__(self, host: str) -> None:
        self.cut_after: int | None = None
        self.target = 0
        self.held = 0
        self.cuts = 0
        self._host = host
        self._port = 0
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._connections: set[_Connection] = set()

    @property
    def port(self) -> int:
        return self._port

    async def open(self) -> None:
        """Listen; the port stays the same for good. Does nothing if it listens."""
        if self._server is None:
            self._server = await asyncio.start_server(self._carry, self._host, self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def carries(self, seconds: float) -> bool:
        """Whether a connection stands, or comes to stand within so many seconds."""
        ends = time.monotonic() + seconds
        while not self._standing() and time.monotonic() < ends:  # noqa: ASYNC110 - a look costs nothing
            await asyncio.sleep(_LOOK)
        return bool(self._standing())

    async def refuse(self) -> int:
        """Refuse new connections, until `open`, and end those that stand; gives their number."""
        if self._server is not None:
            self._server.close()
            self._server = None
        return self.drop()

    def stall(self) -> None:
        """Let nothing through, either way, until `flow`. Connections stand and are taken."""
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    def drop(self) -> int:
        """End every connection in order: each side sees the other close. Gives the number of those that stood."""
        standing = self._standing()
        for connection in standing:
            connection.close()
        return len(standing)

    def reset(self) -> int:
        """End every connection by RST; gives the number of those that stood."""
        standing = self._standing()
        for connection in standing:
            connection.abort()
        return len(standing)

    async def close(self) -> None:
        await self.refuse()
        self.flow()

    def _standing(self) -> list[_Connection]:
        return [connection for connection in self._connections if connection.stands]

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            hub_reader, hub_writer = await asyncio.open_connection(self._host, self.target)
        except OSError:
            # The hub is down: the node sees its connection reset, as a refusal behind a forwarder looks.
            _abort(writer)
            return
        connection = _Connection(writer, hub_writer)
        self._connections.add(connection)
        try:
            ways = (self._pump(reader, hub_writer, connection), self._pump(hub_reader, writer, connection))
            # A reset on either side ends both ways: nothing more is to be carried.
            with contextlib.suppress(OSError):
                await asyncio.gather(*ways)
        finally:
            connection.close()
            self._connections.discard(connection)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: _Connection) -> None:
        carried = 0
        while chunk := await reader.read(_CHUNK):
            if not self._flowing.is_set():
                self.held += 1
            await self._flowing.wait()
            if not connection.stands:
                return  # it was ended while this chunk was held up
            carried += len(chunk)
            if self.cut_after is not None and carried >= self.cut_after:
                # Part of the chunk goes through: the cut is in the middle of something.
                writer.write(chunk[: len(chunk) // 2])
                connection.abort()
                self.cuts += 1
                return
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


class _Connection:
    """Both ends of what is carried."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self._writers = writers

    @property
    def stands(self) -> bool:
        return not any(writer.is_closing() for writer in self._writers)

    def close(self) -> None:
        for writer in self._writers:
            writer.close()

    def abort(self) -> None:
        for writer in self._writers:
            _abort(writer)


def _abort(writer: asyncio.StreamWriter) -> None:
    """End by RST rather than by FIN."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
