"""The REST API as the test kit sees it: software that fetches, keeps and confirms, and submits until it is taken."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp

from adapters.kit.probing import Shown, ShownFile
from adapters.rest.tokens import Scope, Tokens
from runtime.clock import utc_now

_META: Final = {
    "from": "H23",
    "code": "1/UBND-VP",
    "place": "Hải Dương",
    "to": ["G22"],
    "signer": "Nguyễn Văn Mẫu",
}
#: Seconds for which the software tries to submit a document, and between two tries.
_PATIENCE: Final = 30.0
_PAUSE: Final = 0.05


class RestProbe:
    """Software that keeps each message under its key: what it has already it confirms, and keeps no second time."""

    def __init__(self, folder: Path) -> None:
        self._tokens_file = folder / "tokens.json"
        # The kit's clock stands at a day of its own: the token holds on any.
        tokens = Tokens(self._tokens_file, utc_now)
        token = tokens.add("kit", scopes=tuple(Scope), expires_at=utc_now() + timedelta(days=3650)).text
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._session = aiohttp.ClientSession(
            f"http://127.0.0.1:{self._port}", headers={"Authorization": f"Bearer {token}"}
        )
        self._kept: dict[str, Shown] = {}
        self._is_away = False

    @property
    def settings(self) -> Mapping[str, object]:
        return {"listen": f"127.0.0.1:{self._port}", "tokens_file": str(self._tokens_file)}

    async def take(self) -> None:
        if self._is_away:
            raise ConnectionError("the software is away")
        async with self._session.get("/v1/inbox", raise_for_status=True) as answer:
            listed = (await answer.json())["messages"]
        for waiting in listed:
            await self._take(f"/v1/inbox/{waiting['message_id']}/{waiting['recipient']}")

    async def _take(self, path: str) -> None:
        async with self._session.get(path, raise_for_status=True) as answer:
            message = await answer.json()
        key = f"{message['message_id']}-{message['recipient']}"
        if key not in self._kept:
            files = [ShownFile(one["safe_name"], await self._digest(one)) for one in message["attachments"]]
            # One step, as one transaction of software that has the key as a unique column.
            self._kept.setdefault(key, Shown(key, tuple(files)))
        async with self._session.post(f"{path}/confirm", json={"outcome": "accepted"}, raise_for_status=True):
            pass

    async def _digest(self, attachment: Mapping[str, Any]) -> str:
        digest = hashlib.sha256()
        async with self._session.get(attachment["path"], raise_for_status=True) as answer:
            async for chunk in answer.content.iter_any():
                digest.update(chunk)
        return digest.hexdigest()

    async def shown(self) -> Sequence[Shown]:
        return list(self._kept.values())

    async def send(self, number: int) -> None:
        async with asyncio.timeout(_PATIENCE):
            while not await self._submitted(number):  # noqa: ASYNC110 - the API tells nobody that it is back
                await asyncio.sleep(_PAUSE)

    async def _submitted(self, number: int) -> bool:
        form = aiohttp.MultipartWriter("form-data")
        metadata = json.dumps({**_META, "subject": f"V/v số {number}"})
        form.append(metadata).set_content_disposition("form-data", name="metadata")
        part = form.append(b"%PDF-1.4 " + str(number).encode())
        part.set_content_disposition("form-data", name="file", filename="thu.pdf")
        try:
            headers = {"Idempotency-Key": f"kit-{number}"}
            async with self._session.post("/v1/documents", data=form, headers=headers) as answer:
                return answer.status < 300
        except aiohttp.ClientError:
            return False

    async def break_down(self) -> None:
        self._is_away = True

    async def mend(self) -> None:
        self._is_away = False

    async def close(self) -> None:
        await self._session.close()


async def open_probe(folder: Path) -> RestProbe:
    """A probe whose software calls a port of its own choice."""
    return RestProbe(folder)
