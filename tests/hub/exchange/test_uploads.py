"""Attachments that do not fit into the submission: uploaded in pieces, pinned to it, read by nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from functools import partial

import pytest

from hub.settings_exchange import ExchangeSettings
from hub.store import submissions
from hub.store.submissions import SubmissionKey, Upload
from schemas.directory import EntryStatus
from schemas.errors import Rejected, Unavailable
from tests.hub.exchange.conftest import Running, World
from tests.hub.exchange.documents import digest_of, document
from tests.hub.exchange.nodes import NOW, Node, rejection
from transport.wire import SubmissionState, UploadNeeded

LONG = bytes(range(256)) * 1200
SHORT = b"%PDF-1.4 ng\xe1\xba\xafn"


async def _chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def _upload(node: Node, needed: UploadNeeded, contents: Iterable[bytes]) -> None:
    content = next(content for content in contents if digest_of(content) == needed.digest)
    await node.client.upload(needed.location, needed.offset, _chunks(content[needed.offset :]))


async def test_missing_attachments_are_asked_for_and_then_the_document_is_accepted(
    world: World, g22: Node, h23: Node
) -> None:
    """Until all attachments are here nothing is accepted; then the same envelope is, and recipients read them."""
    data = g22.seal(document("G22", "H23", attachments=[LONG, SHORT, b""])).data
    answer = await g22.client.submit(data, {})
    assert answer.state is SubmissionState.INCOMPLETE
    assert {(each.digest, each.size, each.offset) for each in answer.uploads} == {
        (digest_of(content), len(content), 0) for content in (LONG, SHORT, b"")
    }
    assert await world.count("messages") == 0
    for needed in answer.uploads:
        await _upload(g22, needed, [LONG, SHORT, b""])
    assert (await g22.client.submit(data, {})).state is SubmissionState.ACCEPTED
    (entry,) = await h23.envelopes()
    assert entry.attachments == {digest_of(SHORT): SHORT, digest_of(b""): b""}
    async with h23.client.blob(digest_of(LONG), start=0, lease=f"{entry.entry}:{entry.lease}") as chunks:
        assert b"".join([chunk async for chunk in chunks]) == LONG
    assert (await world.count("submissions"), await world.count("uploads")) == (0, 0)


async def test_an_upload_goes_on_where_it_broke_off(world: World, g22: Node, h23: Node, running: Running) -> None:
    """What came before the connection broke, or the hub was stopped, need not be sent again."""
    data = g22.seal(document("G22", "H23", attachments=[LONG])).data
    (needed,) = (await g22.client.submit(data, {})).uploads
    assert await g22.client.upload(needed.location, 0, _chunks(LONG[:100_000])) == 100_000
    assert await g22.client.upload_offset(needed.location) == 100_000
    async with running() as restarted:
        again = await restarted.node("vpcp", ("G22",), g22.key)
        (still,) = (await again.client.submit(data, {})).uploads
        assert (still.location, still.offset) == (needed.location, 100_000)
        await _upload(again, still, [LONG])
        assert (await again.client.submit(data, {})).state is SubmissionState.ACCEPTED


async def test_an_offset_that_is_not_the_uploads_is_refused(g22: Node, h23: Node) -> None:
    """Bytes go where the upload stands, or nowhere."""
    data = g22.seal(document("G22", "H23", attachments=[LONG])).data
    (needed,) = (await g22.client.submit(data, {})).uploads
    await g22.client.upload(needed.location, 0, _chunks(LONG[:1000]))
    error = await rejection(g22.client.upload(needed.location, 999, _chunks(LONG[999:])))
    assert error.code == "upload-offset"
    assert await g22.client.upload_offset(needed.location) == 1000


@pytest.mark.parametrize("content", [LONG, SHORT], ids=["long", "short"])
async def test_other_bytes_are_refused_and_can_be_sent_anew(content: bytes, world: World, g22: Node, h23: Node) -> None:
    """A complete upload with another digest is dropped; the right bytes can follow."""
    data = g22.seal(document("G22", "H23", attachments=[content])).data
    (needed,) = (await g22.client.submit(data, {})).uploads
    error = await rejection(g22.client.upload(needed.location, 0, _chunks(content[::-1])))
    assert error.code == "attachment-digest"
    assert await g22.client.upload_offset(needed.location) == 0
    await g22.client.upload(needed.location, 0, _chunks(content))
    assert (await g22.client.submit(data, {})).state is SubmissionState.ACCEPTED


async def test_more_bytes_than_announced_are_refused(g22: Node, h23: Node) -> None:
    """An upload takes no more than the envelope announces."""
    data = g22.seal(document("G22", "H23", attachments=[LONG])).data
    (needed,) = (await g22.client.submit(data, {})).uploads
    error = await rejection(g22.client.upload(needed.location, 0, _chunks(LONG, b"more")))
    assert error.code == "attachment-too-large"


async def test_an_upload_is_known_to_its_connection_alone(g22: Node, h23: Node) -> None:
    """For another connection an upload does not exist."""
    data = g22.seal(document("G22", "H23", attachments=[LONG])).data
    (needed,) = (await g22.client.submit(data, {})).uploads
    stranger = await rejection(h23.client.upload(needed.location, 0, _chunks(LONG)))
    nothing = await rejection(h23.client.upload("/v1/uploads/" + "0" * 32, 0, _chunks(LONG)))
    assert (stranger.code, str(stranger)) == (nothing.code, str(nothing))
    assert stranger.code == "upload-unknown"


async def test_the_digest_of_anothers_attachment_is_as_if_it_did_not_exist(
    world: World, g22: Node, h23: Node, h31: Node
) -> None:
    """A sender that names bytes which the hub holds for others has to bring them, like bytes that nobody has."""
    await g22.send(document("G22", "H23", attachments=[LONG]), LONG)
    unknown = bytes(reversed(LONG))
    answers = [
        await h31.client.submit(h31.seal(document("H31", "H23", attachments=[content])).data, {})
        for content in (LONG, unknown)
    ]
    assert [answer.state for answer in answers] == [SubmissionState.INCOMPLETE] * 2
    assert [(each.size, each.offset) for answer in answers for each in answer.uploads] == [(len(LONG), 0)] * 2
    held, missing = [await rejection(_read(h31, digest_of(content))) for content in (LONG, unknown)]
    assert (held.code, str(held)) == (missing.code, str(missing))
    assert held.code == "blob-unknown"


async def _read(node: Node, digest: str) -> bytes:
    async with node.client.blob(digest, start=0, lease="1:0") as chunks:
        return b"".join([chunk async for chunk in chunks])


async def test_two_clients_that_begin_at_once_share_the_uploads(world: World, g22: Node, h23: Node) -> None:
    """Two submissions of one envelope are told the same places to upload to."""
    data = g22.seal(document("G22", "H23", attachments=[LONG])).data
    answers = await asyncio.gather(*(g22.client.submit(data, {}) for _ in range(4)))
    assert len({answer.uploads for answer in answers}) == 1
    assert await world.count("submissions") == 1


async def test_who_pins_later_takes_nothing_away(world: World, g22: Node) -> None:
    """Of two that find nothing pinned at the same moment, the second takes over what the first has begun."""
    key = SubmissionKey("vpcp", "G22", "a" * 64)

    async def pin(upload: Upload) -> Upload:
        work = partial(submissions.pin, key=key, wanted=[upload], most=9, at=NOW)
        (pinned,) = (await world.database.write(work) or {}).values()
        return pinned

    first = Upload("1" * 32, "d" * 64, 10, file="1" * 32, complete=False, content=None)
    second = replace(first, upload="2" * 32, file="2" * 32)
    whole = replace(second, complete=True)
    assert await pin(first) == first
    assert await pin(second) == first
    assert await pin(whole) == replace(whole, upload=first.upload)
    assert await pin(second) == replace(whole, upload=first.upload)


async def test_what_came_in_a_body_is_kept_while_the_rest_is_lacking(world: World, g22: Node, h23: Node) -> None:
    """Attachments that a first submission brought, short or long, are not asked for again."""
    other = LONG[::-1]
    data = g22.seal(document("G22", "H23", attachments=[LONG, SHORT, other])).data
    answer = await g22.client.submit(data, {digest_of(LONG): LONG, digest_of(SHORT): SHORT})
    assert [each.digest for each in answer.uploads] == [digest_of(other)]
    await g22.client.upload(answer.uploads[0].location, 0, _chunks(other[:5000]))
    assert (await g22.client.submit(data, {digest_of(other): other})).state is SubmissionState.ACCEPTED
    assert sorted([digest async for digest in world.files.digests()]) == sorted([digest_of(LONG), digest_of(other)])
    assert not list((world.folder / "attachments" / "uploads").iterdir())


async def test_a_later_writer_takes_an_upload_over(world: World, g22: Node, h23: Node) -> None:
    """A writer whose network is gone does not keep the next one away: the later one goes on."""
    data = g22.seal(document("G22", "H23", attachments=[LONG])).data
    (needed,) = (await g22.client.submit(data, {})).uploads
    halted, go_on = asyncio.Event(), asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield LONG[:280_000]
        halted.set()
        await go_on.wait()

    first = asyncio.create_task(g22.client.upload(needed.location, 0, stalling()))
    await halted.wait()
    while (offset := await g22.client.upload_offset(needed.location)) == 0:  # noqa: ASYNC110 - it can only be asked for
        await asyncio.sleep(0.01)
    error = await rejection(g22.client.upload(needed.location, offset + 1, _chunks(b"x")))
    assert error.code == "upload-offset"
    offset = await g22.client.upload_offset(needed.location)
    assert offset == 280_000
    assert await g22.client.upload(needed.location, offset, _chunks(LONG[offset:])) == len(LONG)
    go_on.set()
    assert (await rejection(first)).code in {"upload-busy", "hub-unreachable"}
    assert (await g22.client.submit(data, {})).state is SubmissionState.ACCEPTED


async def test_a_refused_envelope_drops_what_was_uploaded_for_it(world: World, g22: Node, h23: Node) -> None:
    """When the recipient is suspended before the submission is complete, nothing of it stays."""
    data = g22.seal(document("G22", "H23", attachments=[LONG])).data
    (needed,) = (await g22.client.submit(data, {})).uploads
    await g22.client.upload(needed.location, 0, _chunks(LONG[:1000]))
    await world.set_status("H23", EntryStatus.SUSPENDED)
    assert (await rejection(g22.client.submit(data, {}))).code == "recipient-suspended"
    assert await world.is_empty()


async def test_what_was_begun_for_an_accepted_message_is_dropped_by_its_repeat(
    world: World, g22: Node, h23: Node
) -> None:
    """A client that was overtaken may have pinned uploads for a message that was accepted in the same moment."""
    sealed = g22.seal(document("G22", "H23", attachments=[LONG]))
    await g22.client.submit(sealed.data, {digest_of(LONG): LONG})
    late = Upload("1" * 32, digest_of(LONG), len(LONG), file="1" * 32, complete=False, content=None)
    key = SubmissionKey("vpcp", "G22", sealed.message_id)
    await world.database.write(partial(submissions.pin, key=key, wanted=[late], most=9, at=NOW))
    await world.files.append("1" * 32, 0, _chunks(b"x"), limit=1)
    assert (await g22.client.submit(sealed.data, {})).state is SubmissionState.ACCEPTED
    assert await world.count("submissions") == 0
    assert not list((world.folder / "attachments" / "uploads").iterdir())


async def test_what_broke_an_upload_off_is_what_is_told(
    world: World, g22: Node, h23: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the store goes away in the middle, its first error is told, not the one of asking how far it came."""
    data = g22.seal(document("G22", "H23", attachments=[LONG])).data
    (needed,) = (await g22.client.submit(data, {})).uploads

    async def gone(*_: object, **__: object) -> int:
        raise Unavailable("storage-full", "No space is left.")

    async def away(*_: object) -> int:
        raise Unavailable("blob-store-unreachable", "It does not answer.")

    monkeypatch.setattr(type(world.files), "append", gone)
    monkeypatch.setattr(type(world.files), "upload_offset", away)
    error = await rejection(g22.client.upload(needed.location, 0, _chunks(LONG)))
    assert error.code == "storage-full"


class TestRoom:
    """Attachments are not taken at the cost of the database."""

    @pytest.fixture
    def settings(self) -> ExchangeSettings:
        return ExchangeSettings.model_validate({"submissions": {"spare_bytes": 1 << 60, "pending": 1}})

    async def test_attachments_wait_when_the_disk_has_no_room(self, world: World, g22: Node, h23: Node) -> None:
        """A submission that would leave too little free is told to come later, and leaves nothing."""
        data = g22.seal(document("G22", "H23", attachments=[LONG])).data
        for attachments in ({}, {digest_of(LONG): LONG}):
            error = await rejection(g22.client.submit(data, attachments))
            assert isinstance(error, Unavailable)
            assert error.code == "storage-full"
        assert await world.is_empty()


class TestPending:
    """How many submissions of a connection wait for attachments is bounded."""

    @pytest.fixture
    def settings(self) -> ExchangeSettings:
        return ExchangeSettings.model_validate({"submissions": {"spare_bytes": 0, "pending": 2}})

    async def test_one_submission_too_many_waits_until_another_ends(
        self, world: World, g22: Node, h23: Node, h31: Node
    ) -> None:
        """The connection that has used up its places is told to come again; others are not concerned."""
        sealed = [g22.seal(document("G22", "H23", attachments=[LONG])).data for _ in range(3)]
        first = await g22.client.submit(sealed[0], {})
        await g22.client.submit(sealed[1], {})
        error = await rejection(g22.client.submit(sealed[2], {}))
        assert isinstance(error, Unavailable)
        assert error.code == "too-many-requests"
        other = await h31.client.submit(h31.seal(document("H31", "H23", attachments=[LONG])).data, {})
        assert other.state is SubmissionState.INCOMPLETE
        await _upload(g22, first.uploads[0], [LONG])
        assert (await g22.client.submit(sealed[0], {})).state is SubmissionState.ACCEPTED
        assert (await g22.client.submit(sealed[2], {})).state is SubmissionState.INCOMPLETE


async def test_an_unknown_upload_is_refused(g22: Node) -> None:
    """An id that was never given leads nowhere, however it looks."""
    for upload in ("0" * 32, "..%2F..%2Fhub.db", "x"):
        location = f"/v1/uploads/{upload}"
        for call in (g22.client.upload(location, 0, _chunks(b"x")), g22.client.upload_offset(location)):
            error = await rejection(call)
            assert isinstance(error, Rejected)
            assert error.code == "upload-unknown"
