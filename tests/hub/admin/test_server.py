"""The HTTP server: errors are problem documents, bodies have limits, health is open and metrics are not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from prometheus_client import CollectorRegistry
from yarl import URL

from certs.tls import client_context
from hub.http.server import listening, public_application
from hub.settings import HttpSettings, HubFolder, ProxySettings
from hub.usecases.health import trials_of
from hub.usecases.peers import PeerRegister
from runtime.addresses import Address
from runtime.agreed_clock import AgreedClock
from runtime.readiness import PartReport, Readiness
from schemas.errors import Rejected, Unavailable
from tests.hub.admin.conftest import Clock, RunningHub, running

BEARER = {"Authorization": "Bearer x"}


def tls(hub: RunningHub) -> ssl.SSLContext:
    return client_context([hub.office.keys.authority.root])


async def call(hub: RunningHub, method: str, path: str, **options: Any) -> tuple[int, Any]:
    """Status and JSON of one call without a certificate."""
    async with ClientSession() as session, session.request(method, hub.url + path, ssl=tls(hub), **options) as answer:
        return answer.status, await answer.json(content_type=None)


@pytest.mark.parametrize(
    ("line", "options", "status", "code"),
    [
        ("GET /v1/nothing", {}, 404, "not-found"),
        ("DELETE /v1/directory", {}, 405, "method-not-allowed"),
        ("GET /v1/directory", {}, 401, "unauthenticated"),
        ("POST /v1/enrolments", {"data": b"{}"}, 401, "unauthenticated"),
        ("POST /v1/enrolments", {"data": b"{", "headers": BEARER}, 400, "request-malformed"),
        ("POST /v1/enrolments", {"data": BytesIO(bytes(2**21)), "headers": BEARER}, 413, "too-large"),
        ("POST /v1/enrolments", {"data": b"x", "headers": {"Content-Encoding": "gzip"}}, 415, "media-type"),
        ("GET /metrics", {}, 404, "not-found"),
    ],
)
async def test_refusals_are_problem_documents(
    hub: RunningHub, line: str, options: dict[str, Any], status: int, code: str
) -> None:
    """Whatever is refused, and wherever, the answer is a problem document with its code."""
    answered, problem = await call(hub, *line.split(), **options)
    assert (answered, problem["code"], problem["status"]) == (status, code, status)
    assert problem["type"] == f"urn:congvan:problem:{code}"


async def test_a_request_that_comes_after_the_end_is_to_come_again(folder: HubFolder, clock: Clock) -> None:
    """Who had connected when the hub was told to stop, and asks when all is closed, is told so: no fault of the hub."""
    async with running(folder, clock) as hub:
        authority = tls(hub)
        address = URL(hub.url)
        reader, writer = await asyncio.open_connection(address.host, address.port)
        # The hub has taken the connection once another one, which came later, was answered.
        assert (await call(hub, "GET", "/healthz"))[0] == 200
    await writer.start_tls(authority, server_hostname=address.host)
    writer.write(b"GET /v1/authority HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert json.loads(body)["code"] == "hub-stopping"


@contextlib.asynccontextmanager
async def serving(hub: RunningHub, *routes: web.RouteDef) -> AsyncIterator[str]:
    """An application of the hub's with other routes, without TLS."""
    register = PeerRegister(hub.office.database, hub.clock)
    application = public_application(
        routes, register, ProxySettings(), CollectorRegistry(), AgreedClock(hub.office.database, hub.clock)
    )
    async with listening(application, Address("127.0.0.1", 0), HttpSettings(grace_seconds=0), tls=None) as bound:
        yield f"http://{bound}"


async def test_what_nobody_foresaw_tells_nothing(hub: RunningHub) -> None:
    """A fault of the hub's own is `internal` and for later; what it was is the log's business alone."""

    async def fail(_request: web.Request) -> web.Response:
        raise ArithmeticError("the secret cause")

    async with serving(hub, web.get("/x", fail)) as url, ClientSession() as session, session.get(f"{url}/x") as answer:
        text = await answer.text()
        problem = await answer.json(content_type=None)
    assert (answer.status, problem["code"], problem["retryable"]) == (500, "internal", True)
    assert "secret cause" not in text


async def test_an_answer_that_breaks_is_not_taken_for_whole(hub: RunningHub) -> None:
    """When half an answer is out and the rest fails, the connection breaks; no second answer is written into it."""

    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 5000
        await response.prepare(request)
        await response.write(b"half")
        raise Unavailable("blob-missing", "the disk is gone")

    async with serving(hub, web.get("/x", half)) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET /x HTTP/1.1\r\nHost: hub\r\n\r\n")
        received = b""
        with contextlib.suppress(ConnectionResetError):
            received = await reader.readuntil(b"\r\n\r\nhalf")
            received += await reader.read()
        writer.close()
    assert received.count(b"HTTP/1.1") == 1
    assert received.endswith(b"half")


async def test_the_time_to_wait_is_told(hub: RunningHub) -> None:
    """An error that knows when to come back says so in Retry-After, in whole seconds."""

    async def busy(_request: web.Request) -> web.Response:
        error = Unavailable("too-many-requests", "busy")
        error.retry_after = 1.2
        raise error

    async with serving(hub, web.get("/x", busy)) as url, ClientSession() as session, session.get(f"{url}/x") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "2")


async def test_a_long_header_is_refused(hub: RunningHub) -> None:
    """Headers have a limit, so that nobody fills the memory with them."""
    async with ClientSession(max_field_size=2**20) as session:
        async with session.get(f"{hub.url}/healthz", ssl=tls(hub), headers={"X": "x" * 15_000}) as answer:
            assert answer.status == 200
        async with session.get(f"{hub.url}/healthz", ssl=tls(hub), headers={"X": "x" * 40_000}) as answer:
            assert answer.status == 400


async def test_health_is_open_and_says_no_more(hub: RunningHub) -> None:
    """Anybody may ask whether the hub lives and works, and learns just that."""
    assert await call(hub, "GET", "/healthz") == (200, {"alive": True})
    assert await call(hub, "GET", "/readyz") == (200, {"ready": True, "degraded": False})
    async with ClientSession() as session, session.get(f"{hub.url}/healthz", ssl=tls(hub)) as answer:
        assert answer.headers["Server"] == "Congvan"


async def faults(hub: RunningHub, data_folder: Path) -> dict[str, str]:
    """What readiness finds wrong, by part."""
    office = hub.office
    readiness = Readiness(trials_of(office.database, office.blobs, data_folder, office.keys, hub.clock))
    return {report.part: report.fault for report in await readiness.reports() if report.fault}


async def test_readiness_tries_the_parts(hub: RunningHub, folder: HubFolder) -> None:
    """A folder that cannot be written is found by writing into it, and the fault is told with the part."""
    assert await faults(hub, folder.data) == {}
    assert "there is no such file or folder" in (await faults(hub, folder.root / "gone"))["folder"]


async def test_expired_certificates_are_not_ready(hub: RunningHub, folder: HubFolder) -> None:
    """A hub whose certificate has expired, or whose directory has, says so itself."""
    hub.clock.now = hub.office.keys.server.not_valid_after_utc
    status, report = await call(hub, "GET", "/readyz")
    assert (status, report["ready"]) == (503, False)
    found = await faults(hub, folder.data)
    assert set(found) == {"certificates", "directory"}
    assert "tls" in found["certificates"]


async def test_a_report_is_given_again_for_a_moment() -> None:
    """Many who ask at once cause one trial: readiness is open to all, and each trial writes to the disk."""
    trials = 0

    async def count() -> None:
        nonlocal trials
        trials += 1
        raise Rejected("test", "broken")

    readiness = Readiness({"part": count})
    first, second = await readiness.reports(), await readiness.reports()
    assert first is second
    assert trials == 1
    assert isinstance(first[0], PartReport)
    assert "broken" in str(first[0].fault)


async def test_metrics_are_for_listed_addresses(folder: HubFolder, clock: Clock) -> None:
    """A listed address reads the metrics on the public listener: requests by route, never by path."""
    text = folder.settings_file.read_text().replace("# metrics_from = []", 'metrics_from = ["127.0.0.0/8"]')
    folder.settings_file.write_text(text)
    async with running(folder, clock) as hub, ClientSession() as session:
        await call(hub, "GET", "/v1/no-such-thing")
        await call(hub, "GET", "/v1/directory")
        async with session.get(f"{hub.url}/metrics", ssl=tls(hub)) as answer:
            metrics = await answer.text()
    assert 'congvan_hub_requests_total{method="GET",route="/v1/directory",status="401"} 1.0' in metrics
    assert 'congvan_hub_requests_total{method="other",route="other",status="404"} 1.0' in metrics
    assert "no-such-thing" not in metrics
    assert 'congvan_hub_certificate_expiry_timestamp_seconds{certificate="tls"}' in metrics


async def test_operations_have_a_listener_of_their_own(
    folder: HubFolder, clock: Clock, caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    """On the operator's listener readiness names the parts, and metrics are open; no call of nodes is there."""
    text = folder.settings_file.read_text()
    head, table, tail = text.partition("[hub.operations]")
    tail = tail.replace('# listen = ""', f'listen = "127.0.0.1:{unused_tcp_port}"', 1)
    folder.settings_file.write_text(head + table + tail)
    url = f"http://127.0.0.1:{unused_tcp_port}"
    async with running(folder, clock), ClientSession() as session:
        async with session.get(f"{url}/readyz") as answer:
            report = await answer.json()
        async with session.get(f"{url}/metrics") as answer:
            assert answer.status == 200
            assert "congvan_hub_certificate_expiry" in await answer.text()
        async with session.get(f"{url}/v1/authority") as answer:
            assert answer.status == 404
    assert report["ready"] is True
    assert {part["part"] for part in report["parts"]} >= {"database-read", "database-write", "folder", "certificates"}


async def test_an_address_in_use_is_named(hub: RunningHub, folder: HubFolder, tmp_path: Path) -> None:
    """A hub that cannot listen says where, and does not run on without."""
    port = hub.url.rpartition(":")[2]
    application = web.Application()
    with pytest.raises(Unavailable, match=port) as caught:
        async with listening(application, Address("127.0.0.1", int(port)), HttpSettings(), tls=None):
            pass
    assert caught.value.code == "address-in-use"


async def test_one_folder_has_one_hub(hub: RunningHub, folder: HubFolder, clock: Clock) -> None:
    """A second hub in the same folder is turned away, and the first one goes on."""
    with pytest.raises(Unavailable) as caught:
        async with running(folder, clock):
            pass
    assert caught.value.code == "hub-running"
    assert await call(hub, "GET", "/healthz") == (200, {"alive": True})
