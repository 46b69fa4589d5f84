"""A webhook adapter, and the software that it pushes to: a server of the test's own, which answers as the test says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from adapters.webhook import Webhook, open_webhook
from runtime.files import write_file
from tests.adapters.conftest import until
from tests.adapters.simulator import NodeSimulator

SECRET = b"sixteen bytes at least"


@dataclass
class Software:
    """What the software got, and how it answers."""

    requests: list[tuple[web.BaseRequest, bytes]] = field(default_factory=list)
    answer: Callable[[], Awaitable[web.StreamResponse] | web.StreamResponse] = lambda: web.Response(status=204)
    url: str = ""

    async def take(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append((request, await request.read()))
        answer = self.answer()
        return answer if isinstance(answer, web.StreamResponse) else await answer


@pytest.fixture
async def software() -> AsyncIterator[Software]:
    software = Software()
    runner = web.ServerRunner(web.Server(software.take), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    software.url = f"http://127.0.0.1:{site.port}"
    yield software
    await runner.cleanup()


@contextlib.asynccontextmanager
async def opened(node: NodeSimulator, folder: Path, url: str, **settings: object) -> AsyncIterator[Webhook]:
    """The adapter, running."""
    secret = folder / "secret"
    write_file(secret, SECRET)
    table = {"url": url, "secret_file": str(secret), "listen": "127.0.0.1:0", **settings}
    adapter = await open_webhook(node.context(folder, **table))
    stop = asyncio.Event()
    running = asyncio.create_task(adapter.run(stop))
    try:
        await until(lambda: bool(adapter._base))
        yield adapter
    finally:
        stop.set()
        await running
        await adapter.close()


@pytest.fixture
async def webhook(node: NodeSimulator, software: Software, tmp_path: Path) -> AsyncIterator[Webhook]:
    async with opened(node, tmp_path, f"{software.url}/dms") as adapter:
        yield adapter
