"""Where the client connects, and from where."""

from __future__ import annotations

import ssl

from aiohttp import web

from transport import paths
from transport.client import open_hub_client
from transport.wire import DirectoryAnswer


async def test_connect_to_stands_in_for_a_name_that_nothing_resolves() -> None:
    """A hub whose name is in no DNS is reached by its address, is asked under its name, from the address wished."""
    seen: list[tuple[str | None, str | None]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.host.partition(":")[0], request.remote))
        return web.Response(body=DirectoryAnswer(latest=0).encode(), content_type=paths.JSON_TYPE)

    app = web.Application()
    app.router.add_get(paths.DIRECTORY, answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.2", 0).start()
        port = runner.addresses[0][1]
        async with open_hub_client(
            f"http://hub.invalid:{port}",
            ssl.create_default_context(),
            source_address="127.0.0.3",
            connect_to="127.0.0.2",
        ) as client:
            await client.directory(since=0)
    finally:
        await runner.cleanup()
    assert seen == [("hub.invalid", "127.0.0.3")]
