"""The vxp adapter as the test kit sees it: software that signs its calls, fetches, keeps, says `done`, and sends."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import json
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp

from adapters.kit.messages import OWN, OWN_UNIT, PEER, Repertoire
from adapters.kit.probing import Shown, ShownFile
from runtime.files import PRIVATE, write_file
from schemas.classic_reader import read_classic
from schemas.classic_writer import write_classic
from schemas.limits import MIB
from schemas.message import Document, Organ

_SYSTEM_ID: Final = "kit.system.01"
_TIMESTAMP: Final = "20112026T083000+0700"
#: Seconds for which the software tries to send a document, and between two tries.
_PATIENCE: Final = 30.0
_PAUSE: Final = 0.05


class Declined(Exception):  # noqa: N818 - says what happened
    """The API answered that it failed; the text is its own."""


class VxpProbe:
    """Software that keeps each document under its docId: what it has already it only confirms once more."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._secret = secrets.token_hex(16)
        write_file(folder / "secret", self._secret.encode(), mode=PRIVATE)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port: int = free.getsockname()[1]
        self._session = aiohttp.ClientSession(f"http://127.0.0.1:{self._port}")
        self._kept: dict[str, Shown] = {}
        self._is_away = False

    @property
    def settings(self) -> Mapping[str, object]:
        system = {
            "system_id": _SYSTEM_ID,
            "secret_file": str(self._folder / "secret"),
            "codes": [OWN.value, OWN_UNIT.value],
        }
        # The kit asks again and again, faster than people's software does.
        return {"listen": f"127.0.0.1:{self._port}", "systems": {"kit": system}, "requests_per_second": 10_000}

    async def take(self) -> None:
        if self._is_away:
            raise ConnectionError("the software is away")
        for kind in ("edoc", "status"):
            listed = await self._called("getReceivedEdocList", servicetype="eDoc", messagetype=kind)
            for row in listed["data"]:
                await self._take(row["docId"])

    async def _take(self, document: str) -> None:
        """Fetch and confirm; what the API cannot give is reported as failed, which shows it to a person."""
        if document not in self._kept:
            try:
                path = await self._downloaded(document)
            except Declined as error:
                await self._called("updateStatus", docId=document, status="fail", description=ascii(str(error)))
                return
            files = await asyncio.to_thread(_files_in, path)
            path.unlink()
            # One step, as one transaction of software that has the docId as a unique column.
            self._kept.setdefault(document, Shown(document, files))
        await self._called("updateStatus", docId=document, status="done")

    async def _downloaded(self, document: str) -> Path:
        path = self._folder / secrets.token_hex(8)
        async with self._session.get("/downloadEdoc", headers=self._signed(docId=document)) as answer:
            if answer.status >= 500:
                answer.raise_for_status()
            if answer.status != 200:
                raise Declined(f"downloadEdoc answers {answer.status} to {document}.")
            with path.open("wb") as file:
                async for chunk in answer.content.iter_chunked(MIB):
                    await asyncio.to_thread(file.write, chunk)
        return path

    async def _called(self, operation: str, body: bytes = b"", **parameters: str) -> dict[str, Any]:
        headers = {**self._signed(**parameters), "Content-Type": "application/octet-stream"}
        async with self._session.post(f"/{operation}", data=body, headers=headers) as answer:
            payload: dict[str, Any] = await answer.json(content_type=None)
        if payload["status"] != "OK":
            raise Declined(f"{operation} answers {payload['ErrorCode']}: {payload['ErrorDesc']}")
        return payload

    def _signed(self, **parameters: str) -> dict[str, str]:
        """The headers of a call: each parameter, all of them as one JSON text, and the MAC over that."""
        values = {"systemid": _SYSTEM_ID, "timestamp": _TIMESTAMP, **parameters}
        named = {f"XroadVnpt-{name}": value for name, value in values.items()}
        signed = json.dumps(named, separators=(",", ":"))
        mac = hmac.new(self._secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
        return {
            **named,
            "XroadVnpt-sign-header-key": ";".join(values),
            "XroadVnpt-sign-header": signed,
            "XroadVnpt-hash-header": mac,
        }

    async def shown(self) -> Sequence[Shown]:
        return list(self._kept.values())

    async def send(self, number: int) -> None:
        """Send a document without attachments until it is taken: the same file each time."""
        file = _classic(self._folder, number)
        digest = hashlib.sha256(file).hexdigest()
        parameters = {"servicetype": "eDoc", "messagetype": "edoc", "from": OWN.value, "hash-file": digest}
        async with asyncio.timeout(_PATIENCE):
            while not await self._sent(file, parameters):  # noqa: ASYNC110 - the API tells nobody that it is back
                await asyncio.sleep(_PAUSE)

    async def _sent(self, file: bytes, parameters: Mapping[str, str]) -> bool:
        try:
            await self._called("sendEdoc", file + b"\r\n", **parameters)
        except (Declined, aiohttp.ClientError):
            return False
        return True

    async def break_down(self) -> None:
        self._is_away = True

    async def mend(self) -> None:
        self._is_away = False

    async def close(self) -> None:
        await self._session.close()


def _classic(folder: Path, number: int) -> bytes:
    message = Repertoire(folder, number=number).document().delivery.message
    assert isinstance(message, Document)  # noqa: S101 - the kit's own
    turned = replace(message, sender=Organ(organ_id=OWN), recipients=(Organ(organ_id=PEER),))
    parts: list[bytes] = []
    write_classic(turned, (), parts.append)
    return b"".join(parts)


def _files_in(path: Path) -> tuple[ShownFile, ...]:
    """The attachments in a classic file, by name and digest; none is held in memory."""
    sinks: dict[int, _Digest] = {}
    with path.open("rb") as file:
        pieces: Iterator[bytes] = iter(functools.partial(file.read, MIB), b"")
        classic = read_classic(pieces, lambda index: sinks.setdefault(index, _Digest()), source=path.name)
    return tuple(ShownFile(one.name or "", sinks[one.index].digest.hexdigest()) for one in classic.attachments)


class _Digest:
    """A sink that keeps the digest of what it is given."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.digest.update(data)

    def close(self) -> None: ...

    def discard(self) -> None: ...


async def open_probe(folder: Path) -> VxpProbe:
    """A probe whose software calls a port of its own choice."""
    return VxpProbe(folder)
