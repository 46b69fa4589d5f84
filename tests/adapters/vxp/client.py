"""A client that speaks as VNPT's SDK does (docs: vxp-api.md), over sockets of its own: no library puts it right.

Stack A sends everything but sendEdoc, stack B sendEdoc. Each call opens a connection, and each repeats the parameters
of all calls before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

from yarl import URL


@dataclass(frozen=True)
class Answer:
    """What came back: `interim` are the heads of the 1xx answers before it, `broken` that its body broke off."""

    status: int
    headers: dict[str, str]
    body: bytes
    interim: tuple[bytes, ...]
    broken: bool

    @property
    def envelope(self) -> dict[str, Any]:
        """The body as the SDK reads it: US-ASCII, the three members there, null nowhere."""
        payload: dict[str, Any] = json.loads(self.body.decode("ascii"))
        for member in ("status", "ErrorCode", "ErrorDesc"):
            assert isinstance(payload[member], str), member
        assert None not in payload.values()
        for row in payload.get("data", ()) if isinstance(payload.get("data"), list) else ():
            assert None not in row.values()
        return payload

    @property
    def ok(self) -> dict[str, Any]:
        payload = self.envelope
        assert (payload["status"], payload["ErrorCode"], payload["ErrorDesc"]) == ("OK", "0", "Success"), payload
        return payload

    @property
    def failure(self) -> dict[str, Any]:
        """An error: with every member that any reader of the SDK looks for."""
        payload = self.envelope
        assert payload["status"] == "FAIL"
        assert payload["ErrorCode"] != "0"
        assert (payload["DocId"], payload["data"], payload["count"]) == ("", [], 0)
        return payload


@dataclass
class SdkClient:
    """One service object of the SDK: `parameters` only ever grow."""

    endpoint: str
    system_id: str = "demo.system.01"
    secret: str = "demo-secret-123"
    timestamp: str = "06052024T070809+0123"
    parameters: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.parameters = {"systemid": self.system_id, "timestamp": self.timestamp, "Content-Type": "application/json"}

    def signed_headers(self, encoding: str = "utf-8") -> list[tuple[str, bytes]]:
        """The headers of section 2.1, from the parameters as they are now."""
        signed = json.dumps(
            {f"XroadVnpt-{name}": value for name, value in self.parameters.items()},
            ensure_ascii=False,
            separators=(",", ":"),
        )
        mac = hmac.new(self.secret.encode(), signed.encode(), hashlib.sha256).hexdigest()

        def sent(text: str) -> bytes:
            if encoding == "low-bytes":
                return bytes(ord(letter) & 0xFF for letter in text)
            return text.encode(encoding)

        return [
            *((f"XroadVnpt-{name}", sent(value)) for name, value in self.parameters.items()),
            ("XroadVnpt-sign-header-key", sent(";".join(self.parameters))),
            ("XroadVnpt-sign-header", sent(signed)),
            ("XroadVnpt-hash-header", mac.encode()),
            ("User-Agent", b"JAVASDKAgent/1.0.0 XRoad/VPCP"),
            ("XroadVnpt-version", b"3.0.201608"),
        ]

    async def post(self, operation: str, body: bytes = b"", **parameters: str) -> Answer:
        """A call of stack A: POST; with a body it waits for `100 Continue`."""
        self.parameters |= parameters
        headers = [*self.signed_headers(), ("Content-Type", b"application/json")]
        headers += [("Content-Length", str(len(body)).encode()), *self._connection()]
        headers.append(("Accept-Encoding", b"gzip,deflate"))
        if body:
            headers.append(("Expect", b"100-continue"))
        return await self.exchange("POST", operation, headers, body, wait=bool(body))

    async def send(
        self, file: bytes, *, hash_file: str | None = None, end: bytes = b"\r\n", **parameters: str
    ) -> Answer:
        """sendEdoc by stack B: the file and CR LF, `hash-file` without leading zeros."""
        self.parameters |= {"servicetype": "eDoc", "messagetype": "edoc", **parameters}
        digest = hashlib.sha256(file).digest()
        self.parameters["hash-file"] = "".join(f"{byte:x}" for byte in digest) if hash_file is None else hash_file
        self.parameters["Content-Type"] = "application/octet-stream"
        body = file + end
        headers = [
            ("Content-Type", b"application/octet-stream"),
            *self.signed_headers(),
            ("Cache-Control", b"no-cache"),
            ("Pragma", b"no-cache"),
            *self._connection(),
            ("Accept", b"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"),
            ("Content-Length", str(len(body)).encode()),
        ]
        return await self.exchange("POST", "sendEdoc", headers, body)

    async def download(self, **parameters: str) -> Answer:
        """downloadEdoc by stack A: GET with a content type and no body."""
        self.parameters |= parameters
        headers = [*self.signed_headers(), ("Content-Type", b"application/json"), *self._connection()]
        headers.append(("Accept-Encoding", b"gzip,deflate"))
        return await self.exchange("GET", "downloadEdoc", headers)

    async def exchange(
        self, method: str, operation: str, headers: list[tuple[str, bytes]], body: bytes = b"", *, wait: bool = False
    ) -> Answer:
        """One request on a connection of its own; with `wait` the body follows the interim answer."""
        url = URL(self.endpoint)
        if "Host" not in dict(headers):
            headers = [*headers, *self._connection()]
        reader, writer = await asyncio.open_connection(url.host, url.port)
        try:
            async with asyncio.timeout(30):
                head = f"{method} {url.path.rstrip('/')}/{operation} HTTP/1.1\r\n".encode()
                writer.write(
                    head + b"".join(b"%s: %s\r\n" % (name.encode(), value) for name, value in headers) + b"\r\n"
                )
                interim: list[bytes] = []
                if wait:
                    async with asyncio.timeout(2.5):  # the SDK's own patience is 3 seconds
                        interim.append(await reader.readuntil(b"\r\n\r\n"))
                with contextlib.suppress(ConnectionError):
                    writer.write(body)
                    await writer.drain()
                return await _answer(reader, interim)
        finally:
            writer.close()

    def _connection(self) -> list[tuple[str, bytes]]:
        url = URL(self.endpoint)
        return [("Host", f"{url.host}:{url.port}".encode()), ("Connection", b"Keep-Alive")]


async def _answer(reader: asyncio.StreamReader, interim: list[bytes]) -> Answer:
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        if status >= 200:
            break
        interim.append(head)
    lines = head.decode("latin-1").split("\r\n")[1:-2]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body, broken = bytearray(), False
    try:
        if headers.get("transfer-encoding") == "chunked":
            while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
        elif status != 204:
            body += await reader.readexactly(int(headers["content-length"]))
    except asyncio.IncompleteReadError as error:
        body += error.partial
        broken = True
    return Answer(status, headers, bytes(body), tuple(interim), broken)
