"""A bare aiohttp server, under the hub's own TLS and event loop: what waiting and moving bytes cannot cost less than.

`python -m benchmarks.bare HUB FOLDER PORT`: with the keys of the hub in HUB, files in FOLDER.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import uvloop
from aiohttp import web

from congvan.demo.programs import Program, free_port, listening
from hub.settings import HubFolder
from hub.usecases.authority import open_keys
from runtime.files import sync_folder

HOST: Final = "127.0.0.1"
WAIT: Final = "/wait"
RING: Final = "/ring"
FILE: Final = "/file"

_RUNG: Final = web.AppKey("rung", asyncio.Event)


async def _wait(request: web.Request) -> web.Response:
    """A long poll: answered when somebody rings."""
    await request.app[_RUNG].wait()
    request.app[_RUNG].clear()
    return web.Response(text="rung")


async def _ring(request: web.Request) -> web.Response:
    request.app[_RUNG].set()
    return web.Response(text="ringing")


def application(folder: Path) -> web.Application:
    path = folder / "uploaded"

    async def upload(request: web.Request) -> web.Response:
        """Into a file, its SHA-256 told, durable."""
        digest = hashlib.sha256()
        with path.open("wb") as file:
            async for chunk in request.content.iter_any():
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(folder)
        return web.Response(text=digest.hexdigest())

    async def download(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(path, chunk_size=256 * 1024)

    made = web.Application(client_max_size=2**40)
    made[_RUNG] = asyncio.Event()
    made.add_routes([web.get(WAIT, _wait), web.post(RING, _ring), web.put(FILE, upload), web.get(FILE, download)])
    return made


async def serve(folder: Path, port: int, tls: ssl.SSLContext) -> None:
    runner = web.AppRunner(application(folder), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, port, ssl_context=tls, backlog=1024).start()
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def running(hub: Path, folder: Path) -> AsyncIterator[tuple[Program, int]]:
    """The server as a process of its own; gives it and its port."""
    folder.mkdir(exist_ok=True)
    port = free_port(HOST)
    program = Program(
        (str(hub), str(folder), str(port)),
        folder / "bare.log",
        command=(sys.executable, "-m", "benchmarks.bare"),
        environment={"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    await program.start()
    try:
        await listening(HOST, port)
        yield program, port
    finally:
        await program.kill()


def main() -> None:
    hub, folder, port = HubFolder(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])
    name = hub.read_settings().hub.name
    keys = open_keys(hub.authority, hub.keys, name=name, passphrase=None)
    uvloop.run(serve(folder, port, keys.server_tls()))


if __name__ == "__main__":
    main()
