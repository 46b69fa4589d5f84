"""The webhook as the operator sets it, in a hub that runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial

import pytest
from aiohttp import web

from hub.settings import HubFolder
from hub.store import alerts
from schemas.errors import Rejected
from tests.hub.admin.conftest import Clock, running


@pytest.fixture
async def taken() -> AsyncIterator[tuple[int, asyncio.Queue[bytes]]]:
    """A monitoring that takes alerts: its port, and what came."""
    came: asyncio.Queue[bytes] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        came.put_nowait(await request.read())
        return web.Response()

    application = web.Application()
    application.add_routes([web.post("/congvan", take)])
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield site.port, came
    await runner.cleanup()


def set_webhook(folder: HubFolder, url: str) -> None:
    text = folder.settings_file.read_text()
    head, table, rest = text.partition("[alerts.webhook]\n")
    assert table
    rest = rest.replace('# url = ""', f'url = "{url}"', 1)
    rest = rest.replace('# secret_file = ""', 'secret_file = "webhook.secret"', 1)
    folder.settings_file.write_text(head + table + rest)


async def test_a_hub_sends_what_an_earlier_run_left(
    folder: HubFolder, clock: Clock, taken: tuple[int, asyncio.Queue[bytes]]
) -> None:
    """An alert that was raised and not sent before a stop is sent after the start, to the address of the settings."""
    port, came = taken
    secret = folder.root / "webhook.secret"
    secret.write_text("0123456789abcdef\n")
    secret.chmod(0o600)
    set_webhook(folder, f"http://127.0.0.1:{port}/congvan")
    document = json.dumps({"id": "a1"}).encode()
    queue = partial(alerts.queue, alert_id="a1", event="agency.silent", document=document, at=clock(), most=10)
    async with running(folder, clock) as hub:
        await hub.office.database.write(queue)
        assert await asyncio.wait_for(came.get(), 30) == document
    assert came.empty()


async def test_a_hub_does_not_start_with_a_secret_that_others_can_read(folder: HubFolder, clock: Clock) -> None:
    """It says so at the start, not when the first alert is to be sent."""
    secret = folder.root / "webhook.secret"
    secret.write_text("0123456789abcdef\n")
    secret.chmod(0o644)
    set_webhook(folder, "http://127.0.0.1:1/congvan")
    with pytest.raises(Rejected) as caught:
        async with running(folder, clock):
            pass
    assert caught.value.code == "secret-permissions"
