"""The client: every failure of a peer becomes `Rejected` or `Unavailable`; no answer exhausts the node."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import BodyPartReader, web

from schemas.errors import Rejected, Unavailable
from transport import client as client_module
from transport import paths
from transport.client import HubClient, open_hub_client
from transport.problems import problem_of
from transport.wire import DirectoryAnswer, OutcomesRequest, SubmissionAnswer, SubmissionState

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def hub(method: str, path: str, handler: Handler) -> AsyncIterator[HubClient]:
    """A client of a hub that answers one call with `handler`."""
    app = web.Application(client_max_size=2**30)
    app.router.add_route(method, path, handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        async with open_hub_client(f"http://127.0.0.1:{port}", ssl.create_default_context()) as client:
            yield client
    finally:
        await runner.cleanup()


def json_answer(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type=paths.JSON_TYPE)


ACCEPTED = SubmissionAnswer(state=SubmissionState.ACCEPTED, message_id="0" * 64, epoch="e")


async def test_a_submission_without_attachments_is_the_bare_envelope() -> None:
    """The envelope travels as the bytes that were signed, as the whole body."""
    bodies: list[bytes] = []

    async def answer(request: web.Request) -> web.Response:
        assert request.content_type == paths.ENVELOPE_TYPE
        bodies.append(await request.read())
        return json_answer(ACCEPTED.encode(), 201)

    async with hub("POST", paths.ENVELOPES, answer) as client:
        assert await client.submit(b"<edXML/>\r\n", {}) == ACCEPTED
    assert bodies == [b"<edXML/>\r\n"]


async def test_a_long_envelope_travels_as_well() -> None:
    """An envelope of several MiB, for thousands of recipients, arrives byte for byte."""
    envelope = bytes(range(256)) * 4096 * 8
    bodies: list[bytes] = []

    async def answer(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        return json_answer(ACCEPTED.encode(), 201)

    async with hub("POST", paths.ENVELOPES, answer) as client:
        await client.submit(envelope, {})
    assert bodies == [envelope]


async def test_attachments_travel_as_parts_after_the_envelope() -> None:
    """In a multipart submission the envelope comes first, then each attachment under its digest, byte for byte."""
    parts: list[tuple[str | None, bytes]] = []

    async def answer(request: web.Request) -> web.Response:
        reader = await request.multipart()
        while isinstance(part := await reader.next(), BodyPartReader):
            parts.append((part.name, bytes(await part.read())))
        return json_answer(ACCEPTED.encode(), 201)

    async with hub("POST", paths.ENVELOPES, answer) as client:
        await client.submit(b"<edXML/>", {"a" * 64: b"\x00\r\n--x", "b" * 64: b""})
    assert parts == [("envelope", b"<edXML/>"), ("sha256-" + "a" * 64, b"\x00\r\n--x"), ("sha256-" + "b" * 64, b"")]


async def test_a_problem_is_raised_as_the_hub_meant_it() -> None:
    """A problem document becomes its error, with the wait that the hub asked for."""

    async def answer(request: web.Request) -> web.Response:
        problem = problem_of(Unavailable("too-busy", "Later."))
        body = problem.model_dump_json().encode()
        return web.Response(body=body, status=503, content_type=paths.PROBLEM_TYPE, headers={"Retry-After": "17"})

    async with hub("GET", paths.DIRECTORY, answer) as client:
        with pytest.raises(Unavailable) as caught:
            await client.directory(since=0)
    assert (caught.value.code, caught.value.retry_after) == ("too-busy", 17.0)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"latest": "x"}'])
async def test_a_malformed_answer_is_for_later(body: bytes) -> None:
    """A hub that answers nonsense is at fault itself: nothing of the node's is refused for it."""

    async def answer(request: web.Request) -> web.Response:
        return json_answer(body)

    async with hub("GET", paths.DIRECTORY, answer) as client:
        with pytest.raises(Unavailable) as caught:
            await client.directory(since=0)
    assert caught.value.code == "hub-answer"


async def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer cannot fill the node's memory with one answer."""
    monkeypatch.setattr(client_module, "ANSWER_LIMIT", 1_000_000)

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": paths.JSON_TYPE})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while True:
                await response.write(bytes(65536))
        return response

    async with hub("GET", paths.DIRECTORY, answer) as client:
        with pytest.raises(Unavailable, match="longer than any answer"):
            await client.directory(since=0)


async def test_a_hub_that_is_away_is_unreachable() -> None:
    """A refused connection says where nobody answered."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with open_hub_client(f"https://127.0.0.1:{port}", ssl.create_default_context()) as client:
        with pytest.raises(Unavailable, match=str(port)) as caught:
            await client.directory(since=0)
    assert caught.value.code == "hub-unreachable"


async def test_something_that_is_no_hub_is_said() -> None:
    """An address that answers HTML with success is not taken for a hub."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="<html>It works</html>", content_type="text/html")

    async with hub("GET", paths.DIRECTORY, answer) as client:
        with pytest.raises(Unavailable, match="text/html") as caught:
            await client.directory(since=0)
    assert caught.value.code == "not-a-hub"


async def test_redirects_are_not_followed() -> None:
    """A redirect could carry a submission to somebody else: it is an error."""

    async def answer(request: web.Request) -> web.Response:
        raise web.HTTPFound("https://127.0.0.1:1/elsewhere")

    async with hub("POST", paths.ENVELOPES, answer) as client:
        with pytest.raises(Unavailable, match="302"):
            await client.submit(b"<edXML/>", {})


@pytest.mark.parametrize("start", [0, 5])
async def test_a_blob_is_read_from_where_it_broke_off(start: int) -> None:
    """A ranged read carries the lease and gives the bytes from the start asked for."""
    seen: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        seen.extend([request.headers.get(paths.LEASE_HEADER), request.headers.get("Range")])
        content = b"0123456789"[start:]
        return web.Response(body=content, status=206 if start else 200)

    async with (
        hub("GET", paths.BLOBS + "/{digest}", answer) as client,
        client.blob("a" * 64, start=start, lease="7:token") as chunks,
    ):
        assert b"".join([chunk async for chunk in chunks]) == b"0123456789"[start:]
    assert seen == ["7:token", f"bytes={start}-" if start else None]


async def test_a_hub_that_ignores_the_range_is_not_trusted_with_the_rest() -> None:
    """The whole attachment in answer to a range would be appended as if it were the rest: it is an error."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b"0123456789")

    async with hub("GET", paths.BLOBS + "/{digest}", answer) as client:
        with pytest.raises(Unavailable):
            async with client.blob("a" * 64, start=5, lease="7:token"):
                pass


async def test_a_broken_transfer_is_for_later() -> None:
    """A connection that dies in the middle of an attachment is an error to try again after."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        assert request.transport is not None
        request.transport.abort()
        return response

    async with hub("GET", paths.BLOBS + "/{digest}", answer) as client:
        with pytest.raises(Unavailable):
            async with client.blob("a" * 64, start=0, lease="7:token") as chunks:
                [chunk async for chunk in chunks]


async def test_uploads_speak_tus() -> None:
    """The offset is asked for with HEAD and the rest sent with PATCH, under tus 1.0.0's headers."""
    received: list[tuple[str, str, bytes]] = []

    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Tus-Resumable"] == "1.0.0"
        if request.method == "HEAD":
            return web.Response(headers={"Upload-Offset": "3"})
        received.append((request.headers["Upload-Offset"], request.content_type, await request.read()))
        return web.Response(status=204, headers={"Upload-Offset": "10"})

    async def rest() -> AsyncIterator[bytes]:
        yield b"3456"
        yield b"789"

    async with hub("*", paths.UPLOADS + "/u1", answer) as client:
        assert await client.upload_offset(paths.UPLOADS + "/u1") == 3
        assert await client.upload(paths.UPLOADS + "/u1", 3, rest()) == 10
    assert received == [("3", paths.OFFSET_TYPE, b"3456789")]


async def test_bytes_survive_the_wire_forms() -> None:
    """Receipts, proofs and versions come back byte for byte from their JSON form."""
    every = bytes(range(256))
    answer = DirectoryAnswer(latest=1, versions=(every, b""))
    assert DirectoryAnswer.model_validate_json(answer.encode()) == answer
    request = OutcomesRequest(proofs={"p": every})
    assert OutcomesRequest.model_validate_json(request.encode()) == request


async def test_a_refusal_keeps_its_element() -> None:
    """What the hub says about the element and its mend reaches the caller."""

    async def answer(request: web.Request) -> web.Response:
        problem = problem_of(Rejected("recipient-unknown", "No such agency.", element="MessageHeader/To[1]"))
        return web.Response(body=problem.model_dump_json().encode(), status=422, content_type=paths.PROBLEM_TYPE)

    async with hub("POST", paths.ENVELOPES, answer) as client:
        with pytest.raises(Rejected) as caught:
            await client.submit(b"<edXML/>", {})
    assert caught.value.element == "MessageHeader/To[1]"


@pytest.mark.parametrize(
    ("body", "holds"),
    [
        (gzip.compress(DirectoryAnswer(latest=1, versions=(b"x" * 1000,)).encode()), True),
        (gzip.compress(DirectoryAnswer(latest=1, versions=(b"x" * 1000,)).encode())[:-4], False),
        (gzip.compress(bytes(64 * 1024 * 1024)), False),
        (b"no gzip at all", False),
    ],
    ids=["whole", "cut off", "a bomb", "other bytes"],
)
async def test_a_directory_comes_as_gzip_and_inflates_within_the_limit(
    body: bytes, holds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client asks for gzip and takes a whole one; one that is cut off, broken, or too long inside is refused."""
    monkeypatch.setattr(client_module, "ANSWER_LIMIT", 100_000)

    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == "gzip"
        return web.Response(body=body, content_type=paths.JSON_TYPE, headers={"Content-Encoding": "gzip"})

    async with hub("GET", paths.DIRECTORY, answer) as client:
        if holds:
            assert (await client.directory(since=0)).versions == (b"x" * 1000,)
        else:
            with pytest.raises(Unavailable) as raised:
                await client.directory(since=0)
            assert raised.value.code == "hub-answer"
