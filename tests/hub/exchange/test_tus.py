"""tus 1.0.0 as a client knows it that has nothing but the specification: the core protocol and three extensions."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import partial

import aiohttp
import pytest
from aiohttp.typedefs import LooseHeaders
from yarl import URL

from hub.store import submissions
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import digest_of, document
from tests.hub.exchange.nodes import Node
from transport.wire import SubmissionState

LONG = bytes(range(256)) * 1200
VERSION = {"Tus-Resumable": "1.0.0"}
BYTES = VERSION | {"Content-Type": "application/offset+octet-stream"}


class TusClient:
    """Speaks tus over a session, by the letter of the specification; knows nothing of what it is for."""

    def __init__(self, session: aiohttp.ClientSession, hub: URL) -> None:
        self._session = session
        self._hub = hub

    async def ask(
        self, method: str, path: str, headers: LooseHeaders | None = None, data: bytes | None = None
    ) -> aiohttp.ClientResponse:
        async with self._session.request(method, self._hub.join(URL(path)), headers=headers, data=data) as answer:
            await answer.read()
        if method != "OPTIONS":
            assert answer.headers["Tus-Resumable"] == "1.0.0"
        return answer

    async def create(self, path: str, size: int, **metadata: str) -> str:
        pairs = ",".join(f"{name} {b64encode(value.encode()).decode()}" for name, value in metadata.items())
        answer = await self.ask("POST", path, VERSION | {"Upload-Length": str(size), "Upload-Metadata": pairs})
        assert answer.status == 201, answer
        return answer.headers["Location"]

    async def offset(self, location: str) -> int:
        answer = await self.ask("HEAD", location, VERSION)
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
        return int(answer.headers["Upload-Offset"])

    async def send(self, location: str, content: bytes, step: int) -> None:
        """All that lacks, `step` bytes at a time, each piece where the server says that it stands."""
        while (offset := await self.offset(location)) < len(content):
            piece = content[offset : offset + step]
            answer = await self.ask("PATCH", location, BYTES | {"Upload-Offset": str(offset)}, piece)
            assert (answer.status, answer.headers["Upload-Offset"]) == (204, str(offset + len(piece)))


@pytest.fixture
def client(g22: Node) -> TusClient:
    return TusClient(g22.session, g22.client._hub)


async def _location(node: Node) -> str:
    data = node.seal(document("G22", "H23", attachments=[LONG])).data
    return (await node.client.submit(data, {})).uploads[0].location


async def test_a_plain_client_creates_uploads_and_resumes_by_the_specification(
    client: TusClient, world: World, g22: Node, h23: Node
) -> None:
    """A client that knows tus and two digests brings the attachment, and the document is accepted."""
    sealed = g22.seal(document("G22", "H23", attachments=[LONG]))
    (needed,) = (await g22.client.submit(sealed.data, {})).uploads
    location = await client.create("/v1/uploads", len(LONG), message=sealed.message_id, digest=digest_of(LONG))
    assert location == needed.location
    await client.send(location, LONG, step=70_001)
    assert (await g22.client.submit(sealed.data, {})).state is SubmissionState.ACCEPTED


async def test_options_tells_versions_extensions_and_the_longest_upload(client: TusClient, world: World) -> None:
    """OPTIONS says what the server can do, to a client that cannot know yet which version to name."""
    for headers in ({}, {"Tus-Resumable": "0.2.2"}):
        answer = await client.ask("OPTIONS", "/v1/uploads", headers)
        assert (answer.status, answer.headers["Tus-Version"]) == (204, "1.0.0")
        assert set(answer.headers["Tus-Extension"].split(",")) == {"creation", "expiration", "termination"}
        assert int(answer.headers["Tus-Max-Size"]) == world.exchange.settings.submissions.attachment_bytes


async def test_another_version_is_refused_with_ours(client: TusClient, g22: Node, h23: Node) -> None:
    """A request of another version, or of none, gets 412 and the version spoken here, and changes nothing."""
    location = await _location(g22)
    for method in ("HEAD", "PATCH", "DELETE"):
        for headers in ({"Tus-Resumable": "0.2.2"}, {}):
            answer = await client.ask(method, location, {**BYTES, "Upload-Offset": "0"} | headers if headers else {})
            assert (answer.status, answer.headers["Tus-Version"]) == (412, "1.0.0")
    assert await client.offset(location) == 0


async def test_head_tells_offset_length_and_what_was_said_of_the_upload(
    client: TusClient, g22: Node, h23: Node
) -> None:
    """HEAD says how far an upload is, how long it will be, and what the client said at its creation, word for word."""
    sealed = g22.seal(document("G22", "H23", attachments=[LONG]))
    await g22.client.submit(sealed.data, {})
    said = {"message": sealed.message_id, "digest": digest_of(LONG), "filename": "tờ trình.pdf"}
    location = await client.create("/v1/uploads", len(LONG), **said)
    answer = await client.ask("HEAD", location, VERSION)
    assert (answer.headers["Upload-Offset"], answer.headers["Upload-Length"]) == ("0", str(len(LONG)))
    told = dict(pair.split(" ") for pair in answer.headers["Upload-Metadata"].split(","))
    assert told == {name: b64encode(value.encode()).decode() for name, value in said.items()}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/octet-stream", "Upload-Offset": "0"}, 415),
        ({"Content-Type": "application/offset+octet-stream"}, 400),
        ({"Content-Type": "application/offset+octet-stream", "Upload-Offset": "-1"}, 400),
        ({"Content-Type": "application/offset+octet-stream", "Upload-Offset": "7"}, 409),
    ],
)
async def test_a_patch_that_breaks_a_rule_changes_nothing(
    client: TusClient, g22: Node, h23: Node, headers: dict[str, str], status: int
) -> None:
    """A PATCH of another media type, without an offset, or at another one than the upload's, is refused."""
    location = await _location(g22)
    assert (await client.ask("PATCH", location, VERSION | headers, b"x")).status == status
    assert await client.offset(location) == 0


async def test_a_method_that_a_proxy_lets_through_can_stand_for_another(
    client: TusClient, g22: Node, h23: Node
) -> None:
    """X-HTTP-Method-Override counts, the method of the request does not."""
    location = await _location(g22)
    headers = BYTES | {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    answer = await client.ask("POST", location, headers, LONG[:10])
    assert (answer.status, answer.headers["Upload-Offset"]) == (204, "10")


async def test_a_terminated_upload_is_gone_with_its_bytes(
    client: TusClient, world: World, g22: Node, h23: Node
) -> None:
    """After DELETE the upload is 404 and its bytes are dropped; the submission can be brought to its end by another."""
    sealed = g22.seal(document("G22", "H23", attachments=[LONG]))
    (needed,) = (await g22.client.submit(sealed.data, {})).uploads
    await client.ask("PATCH", needed.location, BYTES | {"Upload-Offset": "0"}, LONG[:1000])
    assert (await client.ask("DELETE", needed.location, VERSION)).status == 204
    for method in ("HEAD", "DELETE"):
        assert (await client.ask(method, needed.location, VERSION)).status == 404
    assert not list((world.folder / "attachments" / "uploads").iterdir())
    (again,) = (await g22.client.submit(sealed.data, {})).uploads
    await client.send(again.location, LONG, step=len(LONG))
    assert (await g22.client.submit(sealed.data, {})).state is SubmissionState.ACCEPTED


async def test_an_unfinished_upload_says_when_it_expires_and_expires_then(
    client: TusClient, world: World, g22: Node, h23: Node
) -> None:
    """Every PATCH moves the moment on; when it has passed the upload is gone. A complete one says none."""
    location = await _location(g22)
    patience = world.exchange.settings.submissions.upload_time
    world.clock.advance(hours=1)
    answer = await client.ask("PATCH", location, BYTES | {"Upload-Offset": "0"}, LONG[:5])
    expires_at = parsedate_to_datetime(answer.headers["Upload-Expires"])
    assert abs(expires_at - (world.clock() + patience)) < timedelta(seconds=1)
    world.clock.advance(seconds=patience.total_seconds() + 1)
    await world.exchange.leavings.drop_submissions()
    assert (await client.ask("HEAD", location, VERSION)).status == 404
    whole = await _location(g22)
    answer = await client.ask("PATCH", whole, BYTES | {"Upload-Offset": "0"}, LONG)
    assert "Upload-Expires" not in answer.headers


async def test_nothing_is_created_that_no_submission_waits_for(
    client: TusClient, world: World, g22: Node, h23: Node
) -> None:
    """An upload belongs to a submission of its connection: there is none without, none of another length."""
    sealed = g22.seal(document("G22", "H23", attachments=[LONG]))
    await g22.client.submit(sealed.data, {})
    message, digest = (b64encode(text.encode()).decode() for text in (sealed.message_id, digest_of(LONG)))
    named = VERSION | {"Upload-Length": str(len(LONG)), "Upload-Metadata": f"message {message},digest {digest}"}
    stranger = TusClient(h23.session, h23.client._hub)
    limit = world.exchange.settings.submissions.attachment_bytes
    for asking, headers, status in (
        (stranger, named, 404),
        (client, named | {"Upload-Metadata": f"message {message},digest {message}"}, 404),
        (client, named | {"Upload-Length": str(len(LONG) + 1)}, 409),
        (client, named | {"Upload-Length": str(limit + 1)}, 413),
        (client, named | {"Upload-Length": "many"}, 400),
        (client, named | {"Upload-Metadata": f"message {message}"}, 400),
        (client, named | {"Upload-Metadata": f"message {message},message {message},digest {digest}"}, 400),
        (client, named | {"Upload-Metadata": f"message ???,digest {digest}"}, 400),
        (client, named | {"Upload-Metadata": f"message {message},digest {digest},é {message}"}, 400),
    ):
        assert (await asking.ask("POST", "/v1/uploads", headers)).status == status
    assert (await client.ask("POST", "/v1/uploads", named)).status == 201


async def test_an_upload_is_terminated_by_its_connection_alone(
    client: TusClient, world: World, g22: Node, h23: Node
) -> None:
    """For another connection there is nothing to delete."""
    location = await _location(g22)
    stranger = TusClient(h23.session, h23.client._hub)
    assert (await stranger.ask("DELETE", location, VERSION)).status == 404
    assert await client.offset(location) == 0
    find = partial(submissions.upload_of, connection="vpcp", upload=location.rpartition("/")[2])
    assert await world.database.read(find) is not None
