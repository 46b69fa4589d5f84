"""Attachments in a folder and on object storage: no sweep takes what is about to be named, any process goes on."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.usecases import leavings
from runtime import blob_bucket
from runtime.blob_folder import BlobFolder
from runtime.blob_settings import blobs_of
from runtime.blobs import BlobStore
from runtime.clock import utc_now
from schemas.errors import Unavailable
from tests.hub.exchange.conftest import Running, World
from tests.hub.exchange.documents import digest_of, document
from tests.hub.exchange.nodes import Node, rejection
from tests.services.seaweedfs import SeaweedFs
from transport.wire import SubmissionState

LONG = bytes(range(256)) * 1200


@pytest.fixture(params=["folder", "bucket"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "folder":
        return BlobFolder(tmp_path / "attachments")
    server: SeaweedFs = request.getfixturevalue("object_storage")
    settings = server.settings(tmp_path, secrets.token_hex(8))
    return blobs_of(settings, folder=tmp_path, beside=tmp_path, clock=utc_now)


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _read(node: Node, content: bytes) -> bytes:
    async with node.client.blob(digest_of(content), start=0, lease="0:0") as chunks:
        return b"".join([chunk async for chunk in chunks])


async def test_an_upload_that_is_whole_outlasts_sweeps_until_it_is_accepted(world: World, g22: Node, h23: Node) -> None:
    """Hours pass and sweeps run between the last byte and the acceptance; the attachment is there all the same."""
    # The store tells times by the machine's clock, or its own.
    world.clock.now = datetime.now(UTC)
    data = g22.seal(document("G22", "H23", attachments=[LONG])).data
    (needed,) = (await g22.client.submit(data, {})).uploads
    await g22.client.upload(needed.location, 0, _pieces(LONG))
    world.clock.advance(hours=3)
    await world.exchange.leavings.drop_files()
    await world.exchange.leavings.drop_submissions()
    assert (await g22.client.submit(data, {})).state is SubmissionState.ACCEPTED
    await world.exchange.leavings.drop_files()
    assert await _read(h23, LONG) == LONG


async def test_a_sweep_that_has_looked_does_not_take_what_is_accepted_since(
    world: World, files: BlobStore, g22: Node, h23: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old leaving is found, nobody names it, and before it is taken a message with the same bytes is accepted."""
    monkeypatch.setattr(leavings, "_UNDER_WAY", timedelta(seconds=2))
    monkeypatch.setattr(blob_bucket, "_YOUNG", timedelta(seconds=1))
    await files.put("leaving", digest_of(LONG), _pieces(LONG), size=len(LONG))
    await asyncio.sleep(3.1)  # object storage tells times in whole seconds
    collect = type(files).collect
    collected: list[bool] = []

    async def accept_and_collect(self: BlobStore, digest: str, *, placed_before: datetime) -> bool:
        await g22.send(document("G22", "H23", attachments=[LONG]), LONG)
        collected.append(await collect(self, digest, placed_before=placed_before))
        return collected[-1]

    world.clock.now = datetime.now(UTC)
    with monkeypatch.context() as patch:
        patch.setattr(type(files), "collect", accept_and_collect)
        await world.exchange.leavings.drop_files()
    assert collected == [False]
    assert await _read(h23, LONG) == LONG


async def test_a_leaving_taken_just_before_it_is_named_is_asked_for_again(
    world: World, files: BlobStore, g22: Node, h23: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a sweep was quicker to take is not accepted as if it were there; the next try brings it again."""
    data = g22.seal(document("G22", "H23", attachments=[LONG])).data
    place = type(files).place

    async def place_too_late(self: BlobStore, upload: str, digest: str) -> None:
        await self.abandon(upload)
        await self.collect(digest, placed_before=datetime.now(UTC) + timedelta(minutes=1))
        await place(self, upload, digest)

    with monkeypatch.context() as patch:
        patch.setattr(type(files), "place", place_too_late)
        error = await rejection(g22.client.submit(data, {digest_of(LONG): LONG}))
    assert isinstance(error, Unavailable)
    assert error.code == "blob-missing"
    assert await world.count("messages") == 0
    assert (await g22.client.submit(data, {digest_of(LONG): LONG})).state is SubmissionState.ACCEPTED
    assert await _read(h23, LONG) == LONG


async def test_another_hub_process_goes_on_with_an_upload(running: Running) -> None:
    """Each request of an upload may be answered by another process on the same database and store."""
    async with running() as one, running() as other:
        g22, h23 = await one.join("vpcp", "G22"), await one.join("haiduong", "H23")
        data = g22.seal(document("G22", "H23", attachments=[LONG])).data
        (needed,) = (await g22.client.submit(data, {})).uploads
        await g22.client.upload(needed.location, 0, _pieces(LONG[:100_000]))
        there = await other.node("vpcp", ("G22",), g22.key)
        assert await there.client.upload_offset(needed.location) == 100_000
        await there.client.upload(needed.location, 100_000, _pieces(LONG[100_000:]))
        assert (await g22.client.submit(data, {})).state is SubmissionState.ACCEPTED
        assert await _read(await other.node("haiduong", ("H23",), h23.key), LONG) == LONG
