"""The REST API as software uses it: multipart forms under an idempotency key; list, lock, fetch, keep, confirm."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import aiohttp
from lxml import etree

from tests.crash.clerk import Declined, NotNow, Outgoing
from tests.crash.letters_read import item_in
from tests.crash.load import Letter, attachments
from tests.crash.papers import Answer, metadata_of
from tests.crash.register import Arrival

#: Seconds that a lock holds: what is locked by an answer that was lost is free again soon.
_LOCK: Final = 3
_PAGE: Final = 20
_TIMEOUT: Final = aiohttp.ClientTimeout(total=90, sock_connect=5, sock_read=30)
#: Not the request's fault.
_LATER: Final = (429, 507)


class RestApi:
    """At `url`, by `token`; `seed` decides the bytes of attachments."""

    can_refuse = True

    def __init__(self, code: str, url: str, token: str, *, seed: int) -> None:
        self._code = code
        self._seed = seed
        self._locks: dict[str, list[dict[str, str]]] = {}
        self._session = aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {token}"}, timeout=_TIMEOUT)

    async def send(self, item: Outgoing, sent: str | None) -> str:
        key = {"Idempotency-Key": item.name}
        if isinstance(item.content, Answer):
            said = {"message_id": item.content.about, "agency": self._code, "status": item.content.status}
            reason = {"reason": item.content.reason} if item.content.reason else {}
            answer = await self._json("POST", "/v1/statuses", json=said | reason, headers=key)
        else:
            path = "/v1/documents" if sent is None else f"/v1/documents/{sent}/{item.content.business}"
            form = await asyncio.to_thread(_form, item.content, self._seed, amending=sent is not None)
            answer = await self._json("POST", path, data=form, headers=key)
        return str(answer["message_id"])

    @contextlib.asynccontextmanager
    async def inbox(self) -> AsyncIterator[Sequence[str]]:
        await self._unlock()
        listed = (await self._json("GET", f"/v1/inbox?limit={_PAGE}"))["messages"]
        wanted = [{"message_id": one["message_id"], "recipient": one["recipient"]} for one in listed]
        if not wanted:
            yield ()
            return
        locked = await self._json("POST", "/v1/inbox/lock", json={"seconds": _LOCK, "messages": wanted})
        if "lock" in locked:
            self._locks[locked["lock"]] = locked["messages"]
        try:
            # Each speaks of nothing behind it: what is not locked holds up what follows.
            yield [_key(one) for one in itertools.takewhile(locked["messages"].__contains__, wanted)]
        finally:
            with contextlib.suppress(NotNow):
                await self._unlock()

    async def fetch(self, key: str) -> Arrival:
        path = _path(key)
        message = await self._json("GET", path)
        digests = [await self._digest(one["path"]) for one in message["attachments"]]
        async with self._called("GET", f"{path}/envelope") as answer:
            sealed = await answer.read()
        item = item_in(etree.ElementTree(etree.fromstring(sealed)), self._code)
        return Arrival(item, key, tuple(digests), hashlib.sha256(sealed).hexdigest())

    async def settle(self, key: str, refusal: str | None) -> None:
        said: dict[str, str] = {"outcome": "accepted"} if refusal is None else {"outcome": "refused", "reason": refusal}
        lock = next((lock for lock, keys in self._locks.items() if key in map(_key, keys)), None)
        await self._json("POST", f"{_path(key)}/confirm", json=said | ({"lock": lock} if lock else {}))

    async def close(self) -> None:
        await self._session.close()

    async def _unlock(self) -> None:
        """Let go of what is still locked, also of what was when the node went away."""
        for lock, messages in list(self._locks.items()):
            await self._json("POST", "/v1/inbox/unlock", json={"lock": lock, "messages": messages})
            del self._locks[lock]

    async def _digest(self, path: str) -> str:
        digest = hashlib.sha256()
        async with self._called("GET", path) as answer:
            async for chunk in answer.content.iter_any():
                digest.update(chunk)
        return digest.hexdigest()

    async def _json(self, method: str, path: str, **what: Any) -> dict[str, Any]:
        async with self._called(method, path, **what) as answer:
            found: dict[str, Any] = await answer.json()
            return found

    @contextlib.asynccontextmanager
    async def _called(self, method: str, path: str, **what: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.request(method, path, **what) as answer:
                if answer.status >= 500 or answer.status in _LATER:
                    raise NotNow(f"{method} {path}: {answer.status}")
                if answer.status >= 400:
                    raise Declined(_words(await answer.json(content_type=None)))
                yield answer
        except (aiohttp.ClientError, OSError) as error:
            raise NotNow(f"{method} {path}: {error!r}") from error


def _form(letter: Letter, seed: int, *, amending: bool) -> aiohttp.FormData:
    metadata = metadata_of(letter)
    if amending:
        # The operation itself says what is done to which document.
        metadata["business"] = {"reason": metadata["business"]["reason"]}
        metadata.pop("response_for", None)
    form = aiohttp.FormData()
    form.add_field("metadata", json.dumps(metadata), content_type="application/json")
    for name, content in attachments(letter, seed):
        form.add_field("file", content, filename=name, content_type="application/pdf")
    return form


def _words(problem: Mapping[str, Any]) -> str:
    return f"{problem['code']}: {problem['detail']}"


def _key(named: Mapping[str, str]) -> str:
    return f"{named['message_id']}-{named['recipient']}"


def _path(key: str) -> str:
    message_id, _, recipient = key.partition("-")
    return f"/v1/inbox/{message_id}/{recipient}"
