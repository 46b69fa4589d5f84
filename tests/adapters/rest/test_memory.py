"""A document of any size goes in and out in constant memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator

from adapters.kit.memory import memory_rise
from schemas.limits import MIB
from tests.adapters.rest.conftest import METADATA, Api
from tests.node.core.world import G22, H23, World, document, envelope

SIZE = 48 * MIB
PIECE = bytes(range(256)) * 1024
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="l\xe1\xbb\x9bn.bin"\r\n\r\n'


async def form() -> AsyncIterator[bytes]:
    """A form with one file of `SIZE` bytes, made while it is sent."""
    yield HEAD
    for _ in range(SIZE // len(PIECE)):
        yield PIECE
    metadata = json.dumps(METADATA).encode()
    yield b'\r\n--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n' + metadata + b"\r\n--b--\r\n"


async def test_memory_does_not_grow_with_an_upload(api: Api) -> None:
    """A file of 48 MiB is submitted, streaming, with a third of that in memory at most, client and node together."""
    await api.submit(key="warm")
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    with memory_rise() as rise:
        status, answer = await api.ask("POST", "/v1/documents", data=form(), key="large", headers=headers)
    assert status == 201, answer
    assert rise.bytes is None or rise.bytes < SIZE / 3
    digest = hashlib.sha256()
    for _ in range(SIZE // len(PIECE)):
        digest.update(PIECE)
    assert await api.node.blobs.size(digest.hexdigest()) == SIZE


async def test_memory_does_not_grow_with_a_classic_file(api: Api, keys: World) -> None:
    """A message whose attachment has 24 MiB is written as a classic file and fetched with a third of that in memory."""
    content = PIECE * (24 * MIB // len(PIECE))
    sealed = keys.sealed(envelope(document(G22, H23), content))
    api.hub.deliver(sealed.data, [H23], [content])
    async with api.node.running():
        [listed] = await api.waits(1)
        path = f"/v1/inbox/{listed['message_id']}/{listed['recipient']}/edxml"
        headers = {"Authorization": f"Bearer {api.token}"}
        fetched = 0
        with memory_rise() as rise:
            async with api.session.get(path, headers=headers) as answer:
                assert answer.status == 200
                async for chunk in answer.content.iter_chunked(256 * 1024):
                    fetched += len(chunk)
    assert fetched == int(answer.headers["Content-Length"])
    assert rise.bytes is None or rise.bytes < len(content) / 3
