"""The axis API as agencies' software speaks it, through VNPT's client: signed headers, classic files, blind repeats."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Any, Final

from tests.adapters.vxp.client import Answer as ApiAnswer
from tests.adapters.vxp.client import SdkClient
from tests.crash.clerk import Declined, NotNow, Outgoing
from tests.crash.letters_read import classic_item
from tests.crash.papers import Answer, classic_letter, classic_status
from tests.crash.register import Arrival

#: The client's own setting: a call that dies is made so often in all, without any pause.
_TRIES: Final = 3
#: Not the caller's fault.
_LATER: Final = ("429", "500", "503")
#: How often something is marked as processing before it is fetched, and fetched by downloadEdoc.
_MARKED: Final = 0.3
_DOWNLOADED: Final = 0.5
_GONE: Final = (OSError, EOFError, TimeoutError)


class VxpApi:
    """At `url`, by `system_id` and `secret`; `seed` decides the bytes of attachments."""

    #: The API knows no refusal: a status 02 is a message like any other.
    can_refuse = False

    def __init__(self, code: str, url: str, system_id: str, secret: str, *, seed: int) -> None:
        self._code = code
        self._access = {"endpoint": url, "system_id": system_id, "secret": secret}
        self._seed = seed
        self._chance = Random(f"vxp {seed} {code}")

    async def send(self, item: Outgoing, sent: str | None) -> str:
        """`sent` is of no use: what the file speaks of it names by its DocumentId."""
        content, kind = item.content, "edoc"
        if isinstance(content, Answer):
            file, kind = classic_status(content), "status"
        else:
            file = await asyncio.to_thread(classic_letter, content, self._seed)
        client = self._client()
        parameters = {"from": self._code, "messagetype": kind}
        try:
            answer = await client.send(file, **parameters)
        except _GONE:
            # The JDK repeats a POST whose connection died, once, and tells nobody.
            with _gone():
                answer = await client.send(file, **parameters)
        return str(_payload(answer)["DocId"])

    @contextlib.asynccontextmanager
    async def inbox(self) -> AsyncIterator[Sequence[str]]:
        keys: list[str] = []
        for kind in ("edoc", "status"):
            listed = _payload(await self._post("getReceivedEdocList", servicetype="eDoc", messagetype=kind))
            keys += [row["docId"] for row in listed["data"]]
        yield keys

    async def fetch(self, key: str) -> Arrival:
        if self._chance.random() < _MARKED:
            _payload(await self._post("updateStatus", b"{}", docid=key, status="processing"))
        if self._chance.random() < _DOWNLOADED:
            with _gone():
                answer = await self._client().download(docId=key)
            if answer.broken or answer.status != 200:
                raise NotNow(f"downloadEdoc {key}: {answer.status}")
            file = answer.body
        else:
            file = base64.b64decode(_payload(await self._post("getEdoc", b"{}", docId=key))["data"])
        item, digests = await asyncio.to_thread(classic_item, file, self._code)
        return Arrival(item, key, digests)

    async def settle(self, key: str, refusal: str | None) -> None:
        """`refusal` is never given: see `can_refuse`."""
        _payload(await self._post("updateStatus", b"{}", docId=key, status="done"))

    async def close(self) -> None:
        """Nothing stays open: each call has a connection of its own."""

    async def _post(self, operation: str, body: bytes = b"", **parameters: str) -> ApiAnswer:
        client = self._client()
        for _ in range(_TRIES - 1):
            with contextlib.suppress(*_GONE):
                return await client.post(operation, body, **parameters)
        with _gone():
            return await client.post(operation, body, **parameters)

    def _client(self) -> SdkClient:
        """A service object of its own: one that is used again repeats the docId of what it fetched before."""
        return SdkClient(**self._access)


@contextlib.contextmanager
def _gone() -> Any:
    try:
        yield
    except _GONE as error:
        raise NotNow(repr(error)) from error


def _payload(answer: ApiAnswer) -> dict[str, Any]:
    if answer.broken:
        raise NotNow("the answer broke off")
    payload = answer.envelope
    if payload["ErrorCode"] in _LATER:
        raise NotNow(payload["ErrorDesc"])
    if payload["status"] != "OK":
        raise Declined(f"{payload['ErrorCode']}: {payload['ErrorDesc']}")
    return payload
