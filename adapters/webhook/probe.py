"""The webhook as the test kit sees it: software that verifies what is pushed, fetches its links, and answers."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from adapters.kit.probing import Shown, ShownFile
from certs.signed_posts import SIGNATURE_HEADER, TIME_HEADER, signature
from runtime.files import write_file

_SECRET = b"a secret of the test kit alone"


class WebhookProbe:
    """Software that listens. It takes what it gets each time: the adapter promises at least once."""

    def __init__(self, folder: Path) -> None:
        self._secret_file = folder / "secret"
        self._taken: list[Shown] = []
        self._is_away = False
        self._url = ""
        self._resources = contextlib.AsyncExitStack()
        self._session = aiohttp.ClientSession()

    async def open(self) -> None:
        write_file(self._secret_file, _SECRET)
        application = web.Application(client_max_size=64 * 2**20)
        application.router.add_post("/congvan", self._receive)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._resources.push_async_callback(runner.cleanup)
        self._resources.push_async_callback(self._session.close)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._url = f"http://127.0.0.1:{site.port}/congvan"

    @property
    def settings(self) -> Mapping[str, object]:
        return {"url": self._url, "secret_file": str(self._secret_file), "listen": "127.0.0.1:0"}

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        expected = f"v1={signature(_SECRET, request.headers[TIME_HEADER], body)}"
        if self._is_away:
            return web.Response(status=503)
        if not hmac.compare_digest(expected, request.headers[SIGNATURE_HEADER]):
            return web.Response(status=401)
        pushed = json.loads(body)
        try:
            files = [ShownFile(one["safe_name"], await self._digest(one)) for one in pushed["attachments"]]
        except aiohttp.ClientError:
            # What cannot be fetched is not kept, and so not taken.
            return web.Response(status=503)
        self._taken.append(Shown(pushed["key"], tuple(files)))
        return web.Response(status=204)

    async def _digest(self, attachment: Mapping[str, Any]) -> str:
        if "content" in attachment:
            return hashlib.sha256(base64.b64decode(attachment["content"])).hexdigest()
        digest = hashlib.sha256()
        async with self._session.get(attachment["url"], raise_for_status=True) as answer:
            async for chunk in answer.content.iter_any():
                digest.update(chunk)
        return digest.hexdigest()

    async def take(self) -> None:
        """Nothing: what is pushed has been taken."""

    async def shown(self) -> Sequence[Shown]:
        return list(self._taken)

    async def break_down(self) -> None:
        self._is_away = True

    async def mend(self) -> None:
        self._is_away = False

    async def close(self) -> None:
        await self._resources.aclose()


async def open_probe(folder: Path) -> WebhookProbe:
    """A probe whose software listens on a port of its own."""
    probe = WebhookProbe(folder)
    await probe.open()
    return probe
