"""Simulated nodes that wait: `python -m benchmarks.pollers ORDER`, a process of its own for some of them.

ORDER is a JSON file: host and port, the name in the server's certificate, its authority, the path to ask for, a key and
the chains of certificates, one for each node. Each node opens a connection of its own with its own certificate, asks
once, and waits. When all have asked, the process says `waiting`; it ends when its standard input does. An answer, or a
connection that ends, is an error: then nothing waits any more, and it says so.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

#: Handshakes at once: more would only wait for each other.
_AT_ONCE: Final = 32


@dataclass(slots=True)
class Asked(asyncio.Protocol):
    """A connection on which one question was asked and nothing was answered."""

    ended: asyncio.Event

    def data_received(self, data: bytes) -> None:
        print(f"answered: {data[:80]!r}", flush=True)
        self.ended.set()

    def connection_lost(self, _error: Exception | None) -> None:
        self.ended.set()


def client_context(authority: str | Path, chain: str | Path, key: str | Path) -> ssl.SSLContext:
    """The TLS of a simulated node."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority)
    context.load_cert_chain(chain, key)
    return context


async def wait(order: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    request = f"GET {order['path']} HTTP/1.1\r\nHost: {order['name']}\r\n\r\n".encode()
    free = asyncio.Semaphore(_AT_ONCE)
    kept = []

    async def ask(chain: str) -> None:
        async with free:
            transport, _ = await loop.create_connection(
                lambda: Asked(ended),
                order["host"],
                order["port"],
                ssl=client_context(order["authority"], chain, order["key"]),
                server_hostname=order["name"],
                ssl_handshake_timeout=300,
            )
            transport.write(request)
            kept.append(transport)

    await asyncio.gather(*map(ask, order["chains"]))
    print("waiting", flush=True)
    over = loop.run_in_executor(None, sys.stdin.read)
    broken = asyncio.ensure_future(ended.wait())
    await asyncio.wait({over, broken}, return_when=asyncio.FIRST_COMPLETED)
    if not over.done():
        print("a connection ended", flush=True)
        await over


if __name__ == "__main__":
    uvloop.run(wait(json.loads(Path(sys.argv[1]).read_text())))
