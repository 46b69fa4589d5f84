"""The listener for agencies' software: where it may listen, how many it serves, how it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from yarl import URL

from adapters.listening import ListenSettings, listening
from certs.authority import Authority
from certs.keys import new_p256_key, write_certificates, write_key
from certs.tls import client_context
from runtime.settings import settings_of
from schemas.errors import Rejected, Unavailable


def fault(status: int, sentence: str) -> web.Response:
    return web.json_response({"fault": status, "sentence": sentence}, status=status)


@contextlib.asynccontextmanager
async def served(handler: object, **settings: object) -> AsyncIterator[URL]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)  # type: ignore[arg-type] # any handler
    async with listening(application, ListenSettings(**settings), table="adapters.x", fault=fault) as url:  # type: ignore[arg-type] # settings of a test
        yield url


async def exchanged(url: URL, request: bytes) -> bytes:
    """What comes back for `request` on a connection of its own, until the server closes it."""
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(request)
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


async def hello(_request: web.Request) -> web.Response:
    return web.Response(text="xin chào")


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "192.0.2.1:8080", "[::]:80", "node.example.vn:80"])
def test_another_address_than_loopback_must_be_meant(listen: str) -> None:
    """Without `network = true` a listener refuses every address that other machines reach, with the mend."""
    with pytest.raises(Rejected, match="set network = true"):
        settings_of(ListenSettings, {"listen": listen}, source="[adapters.x]")
    assert settings_of(ListenSettings, {"listen": listen, "network": True}, source="x").address.port


@pytest.mark.parametrize("listen", ["127.0.0.9:80", "[::1]:80", "localhost:80"])
def test_loopback_is_taken_as_it_is(listen: str) -> None:
    """Addresses of this machine alone need no further word."""
    assert settings_of(ListenSettings, {"listen": listen}, source="x").listen == listen


def test_certificate_and_key_go_together() -> None:
    """One of the two files of TLS alone is an error of the settings, not plain HTTP."""
    with pytest.raises(Rejected, match="set together"):
        settings_of(ListenSettings, {"tls_key_file": "/key.pem"}, source="x")


def test_files_are_named_by_absolute_paths() -> None:
    """A relative path would mean another file wherever the node is started."""
    with pytest.raises(Rejected, match="absolute"):
        settings_of(ListenSettings, {"tls_key_file": "k", "tls_certificate_file": "c"}, source="x")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "authority", "Thử", now=datetime.now(UTC))


async def test_with_certificate_and_key_it_speaks_tls(tmp_path: Path, authority: Authority) -> None:
    """A client that trusts the authority gets its answer over TLS; one that speaks plain HTTP gets none."""
    key = new_p256_key()
    files = {"tls_key_file": tmp_path / "key.pem", "tls_certificate_file": tmp_path / "chain.pem"}
    write_key(files["tls_key_file"], key, None)
    chain = authority.issue_server(key.public_key(), ["127.0.0.1"], datetime.now(UTC))
    write_certificates(files["tls_certificate_file"], chain)
    async with served(hello, **files) as url:
        assert url.scheme == "https"
        tls = client_context([authority.root])
        reader, writer = await asyncio.open_connection(url.host, url.port, ssl=tls, server_hostname="127.0.0.1")
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert "xin chào".encode() in await reader.readuntil("xin chào".encode())
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP" not in await exchanged(url, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nX-Name: hidden\x03\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nX-Name: hidden" + b" x" * 4096 + b"\r\n\r\n",
        b"POST /hidden" + b"x" * 8192 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"hidden\r\n\r\n",
    ],
    ids=["no letter", "long header", "long path", "no method"],
)
async def test_what_is_no_http_gets_the_adapters_own_answer(head: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """A head that no parser takes is answered by the adapter, not in aiohttp's words, and quoted neither in the answer
    nor in the log: a token or a signature may stand in it."""
    async with served(hello, header_bytes=8192) as url:
        answer = await exchanged(url, head)
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b'{"fault": 400' in answer
    assert b"hidden" not in answer
    logged = "".join(capsys.readouterr())
    assert "listener.refused" in logged
    assert "hidden" not in logged


async def test_no_answer_names_the_software() -> None:
    """Neither an answer nor a refusal says which library, in which version, made it."""
    async with served(hello, silence_seconds=0.05) as url:
        for request in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"no HTTP\r\n\r\n"):
            answer = await exchanged(url, request)
            assert b"Server: Congvan\r\n" in answer
            assert b"aiohttp" not in answer


async def test_a_fault_of_ours_gets_the_adapters_own_answer() -> None:
    """What a handler raises ends as the adapter's answer 500, without a word of what it was."""

    async def broken(_request: web.Request) -> web.Response:
        raise ZeroDivisionError("mật khẩu")

    async with served(broken) as url:
        answer = await exchanged(url, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b'{"fault": 500, "sentence": ""}' in answer


async def test_connections_beyond_the_limit_are_closed() -> None:
    """The one too many is closed without an answer, and the others go on."""
    async with served(hello, connections=1) as url:
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil("xin chào".encode())
        with contextlib.suppress(ConnectionResetError):
            assert await exchanged(url, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == b""
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil("xin chào".encode())
        writer.close()


async def test_a_silent_connection_is_closed() -> None:
    """Whoever connects and says nothing, or half a head, is gone after the time that the settings give."""
    async with served(hello, silence_seconds=0.05) as url:
        assert await exchanged(url, b"GET / HTTP/1.1\r\nHo") == b""


async def test_who_takes_nothing_of_an_answer_is_cut_off_and_who_is_slow_is_not() -> None:
    """A client that stops reading loses its connection after the silence of the settings, so that what the answer
    holds comes free; one that goes on reading, however slowly, gets all of it."""
    ended: asyncio.Queue[int] = asyncio.Queue()
    pieces, piece = 64, bytes(256 * 1024)

    async def long(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = pieces * len(piece)
        written = 0
        try:
            await response.prepare(request)
            for _ in range(pieces):
                await response.write(piece)
                written += 1
            return response
        finally:
            ended.put_nowait(written)

    async with served(long, silence_seconds=0.5) as url:
        request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        _, writer = await asyncio.open_connection(url.host, url.port, limit=1024)
        writer.write(request)
        async with asyncio.timeout(20):
            assert await ended.get() < pieces
        writer.close()
        reader, writer = await asyncio.open_connection(url.host, url.port, limit=1024)
        writer.write(request)
        await reader.readuntil(b"\r\n\r\n")
        got = 0
        for _ in range(8):
            await asyncio.sleep(0.1)
            got += len(await reader.readexactly(len(piece)))
        async with asyncio.timeout(20):
            got += len(await reader.read())
        assert got == pieces * len(piece)
        writer.close()


async def test_an_end_lets_what_is_under_way_end() -> None:
    """An answer that is being made when the listener ends is given; nothing new is taken."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        begun.set()
        await go_on.wait()
        return web.Response(text="xong")

    async with served(slow) as url:
        asking = asyncio.create_task(exchanged(url, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
        await begun.wait()
        asyncio.get_running_loop().call_later(0.05, go_on.set)
    assert (await asking).endswith(b"xong")
    with pytest.raises(OSError, match="onnect"):
        await asyncio.open_connection(url.host, url.port)


async def test_an_address_in_use_names_the_setting() -> None:
    """The second listener at one address says which setting to change."""
    async with served(hello) as url:
        with pytest.raises(Unavailable, match=r"\[adapters.x\] listen"):
            async with served(hello, listen=f"127.0.0.1:{url.port}"):
                pass
