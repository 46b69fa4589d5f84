"""An agency's server that a webhook pushes to: it verifies, fetches, keeps under the key, answers; or does none of it,
answers wrongly, or is killed before or after it kept what came."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from enum import Enum, auto
from random import Random
from typing import Any, Final

import aiohttp
from aiohttp import web

from tests.crash.events import Event
from tests.crash.ledger import Ledger
from tests.crash.load import Letter
from tests.crash.papers import REASON
from tests.crash.register import DOCUMENT, Arrival, Item

#: How old a push may be, in seconds: docs/adapters/webhook.md.
_AGE: Final = 300
#: Seconds until a killed server is there again.
_AWAY: Final = (0.1, 1.5)
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=5, sock_read=20)


class Mood(Enum):
    """What the server does with a push."""

    WELL = auto()
    #: 500, without a look at it.
    BROKEN = auto()
    #: 503, and when to come again.
    BUSY = auto()
    #: No answer within the time that the node gives it.
    HANGING = auto()
    #: It keeps what came, and the answer is lost.
    SILENT = auto()
    #: It is killed before it keeps what came, or after.
    KILLED = auto()
    KILLED_AFTER = auto()


#: How often.
_WEIGHTS: Final = {mood: 64 if mood is Mood.WELL else 6 for mood in Mood}


class Receiver:
    """The server of the agency `code`, at the address `listen`.

    `letter_of` gives the letter under a DocumentId: one that asks to be returned is refused. A push that hangs does so
    for `hang` seconds.
    """

    def __init__(
        self,
        code: str,
        ledger: Ledger,
        letter_of: Callable[[str], Letter | None],
        *,
        listen: tuple[str, int],
        secret: bytes,
        chance: Random,
        hang: float,
    ) -> None:
        self.code = code
        self._listen = listen
        self._secret = secret
        self._ledger = ledger
        self._letter_of = letter_of
        self._chance = chance
        self._hang = hang
        self._events: list[Event] = []
        self._life = 0
        self._runner: web.ServerRunner | None = None
        self._rising: set[asyncio.Task[None]] = set()
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)

    async def open(self) -> None:
        server = web.Server(self._take)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._listen, reuse_address=True).start()

    async def look(self) -> list[Event]:
        """What came since the last look."""
        events, self._events = self._events, []
        return events

    def left(self) -> list[str]:
        """Nothing: what is pushed is had."""
        return []

    async def close(self) -> None:
        for task in self._rising:
            task.cancel()
        await asyncio.gather(*self._rising, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
        await self._session.close()

    async def settled(self) -> None:
        """Wait until it is there again, if it was killed."""
        await asyncio.gather(*self._rising)

    def kill(self) -> None:
        """End at once, as by `kill -9`: what was under way is not gone on with, and what is not on record is not known.

        After a while it is there again, at the same port.
        """
        runner, self._runner = self._runner, None
        if runner is None or runner.server is None:
            return  # it is gone already
        self._life += 1
        self._ledger.forget()
        for connection in runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()
        task = asyncio.create_task(self._rise(runner))
        self._rising.add(task)
        task.add_done_callback(self._rising.discard)

    async def _rise(self, runner: web.ServerRunner) -> None:
        await runner.cleanup()
        await asyncio.sleep(self._chance.uniform(*_AWAY))
        await self.open()

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        life = self._life
        body = await request.read()
        if not self._is_genuine(request.headers, body):
            return web.Response(status=401)
        mood = self._chance.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))[0]
        match mood:
            case Mood.BROKEN:
                return web.Response(status=500)
            case Mood.BUSY:
                return web.Response(status=503, headers={"Retry-After": "1"})
            case Mood.HANGING:
                await asyncio.sleep(self._hang)
        pushed = json.loads(body)
        if pushed["key"] in self._ledger.taken:
            return self._answer(pushed["key"])
        try:
            digests = [await self._digest(one["url"]) for one in pushed["attachments"]]
        except (aiohttp.ClientError, OSError):
            return web.Response(status=502)
        if mood is Mood.KILLED:
            self.kill()
        if life != self._life:
            return web.Response(status=500)  # nobody is there to read it
        if pushed["key"] not in self._ledger.taken:  # else the same was pushed twice at a time
            self._keep(pushed, digests)
        if mood is Mood.KILLED_AFTER:
            self.kill()
        if mood in (Mood.SILENT, Mood.KILLED_AFTER) and request.transport is not None:
            request.transport.abort()
        return self._answer(pushed["key"])

    def _is_genuine(self, headers: Mapping[str, str], body: bytes) -> bool:
        timestamp = headers.get("Congvan-Timestamp", "")
        expected = hmac.new(self._secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(headers.get("Congvan-Signature", ""), f"v1={expected}"):
            return False
        return abs(time.time() - int(timestamp)) <= _AGE

    def _keep(self, pushed: Mapping[str, Any], digests: list[str]) -> None:
        message = pushed["message"]
        is_status = message["kind"] == "status"
        document_id = message["response_for"]["document_id"] if is_status else message["document_id"]
        item = Item(self.code, message["status"] if is_status else DOCUMENT, document_id, message["from"]["organ_id"])
        letter = None if is_status else self._letter_of(document_id)
        refused = letter is not None and letter.is_returned
        arrival = Arrival(item, pushed["key"], tuple(digests), shown=time.time_ns(), is_refused=refused)
        self._ledger.take(arrival)
        self._events.append(arrival)

    def _answer(self, key: str) -> web.Response:
        if self._ledger.taken[key]:
            return web.json_response({"reason": REASON}, status=422)
        return web.Response(status=204)

    async def _digest(self, url: str) -> str:
        digest = hashlib.sha256()
        async with self._session.get(url, raise_for_status=True) as answer:
            async for chunk in answer.content.iter_any():
                digest.update(chunk)
        return digest.hexdigest()
