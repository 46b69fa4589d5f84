"""How the API answers on the wire: any path, any method, any fault, and clients that wait or read slowly."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from adapters.sdk import DeliveryKey
from adapters.vxp import open_vxp
from schemas.errors import Rejected
from tests.adapters.classic import classic
from tests.adapters.vxp.conftest import Opener, Site
from tests.adapters.vxp.test_receiving import offer

POSTS = (
    "sendEdoc",
    "getReceivedEdocList",
    "getSentEdocList",
    "getEdoc",
    "updateStatus",
    "countReceiveEdoc",
    "countReceiveStatus",
    "getAgenciesList",
    "getAgenciesListQD20",
    "getSynchronizeUnit",
    "registerAgency",
    "deleteAgency",
)


def raw(site: Site, *more: tuple[str, bytes]) -> list[tuple[str, bytes]]:
    return [*site.client().signed_headers(), *more]


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/api/getEdoc/x", "/sendEdoc2", "/%00", "/?getEdoc"])
async def test_every_path_has_an_envelope(site: Site, path: str) -> None:
    """What is no operation is told in the API's own form, with the names of those that there are."""
    answer = await site.client().exchange("POST", path.removeprefix("/"), raw(site, ("Content-Length", b"0")))
    assert (answer.status, answer.failure["ErrorCode"]) == (404, "404")
    assert "getReceivedEdocList" in answer.failure["ErrorDesc"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "BREW"])
async def test_every_wrong_method_has_an_envelope(site: Site, method: str) -> None:
    """An operation asked for in another way than the SDK's says which way that is."""
    for operation in ["downloadEdoc"] if method == "POST" else POSTS:
        answer = await site.client().exchange(method, operation, raw(site, ("Content-Length", b"0")))
        assert answer.failure["ErrorCode"] == ("400" if method == "BREW" else "405")


async def test_every_operation_refuses_in_its_envelope(site: Site) -> None:
    """An unsigned request gets an error with every member that any reader of the SDK looks for."""
    for operation in POSTS:
        answer = await site.client().exchange("POST", operation, [("Content-Length", b"0")])
        assert answer.failure["ErrorCode"] == "401"
        # Java's client takes HTTP's own 401 for a challenge.
        assert answer.status == 403


@pytest.mark.parametrize("prefix", ["", "/", "/api", "/api/", "//a//b//", "/getEdoc"])
async def test_an_endpoint_may_have_a_prefix_and_slashes(site: Site, prefix: str) -> None:
    """The SDK puts its operation behind whatever endpoint it was given, with one slash, or two."""
    client = site.client()
    client.endpoint = f"{site.endpoint}{prefix}"
    for slashes in ("", "/", "//"):
        assert (await client.post(f"{slashes}countReceiveEdoc")).ok["count"] == 0


async def test_a_request_that_is_none_has_an_envelope(site: Site) -> None:
    """What no parser of HTTP takes is answered in the API's own form as well."""
    answer = await site.client().exchange("POST", "getEdoc", raw(site, ("Bad Header", b"x")))
    assert answer.failure["ErrorCode"] == "400"


async def test_headers_may_be_long(site: Site) -> None:
    """A service object that carries the parameters of a year's calls is still answered; endless ones are refused."""
    client = site.client()
    client.parameters["stale"] = "x" * 20_000
    assert (await client.post("countReceiveEdoc")).ok["count"] == 0
    client.parameters["stale"] = "x" * 200_000
    assert (await client.post("countReceiveEdoc")).failure["ErrorCode"] == "400"


async def test_continue_is_answered_at_once(site: Site) -> None:
    """A client that asks before it sends its body is told to go on before the body comes, not after three seconds."""
    key = offer(site)
    answer = await site.client().post("updateStatus", b"{}", docId=str(key), status="processing")
    assert [head.split(b"\r\n")[0] for head in answer.interim] == [b"HTTP/1.1 100 Continue"]
    assert answer.ok
    refused = await site.client(secret="wrong-secret").post("updateStatus", b"{}", docId=str(key), status="done")
    assert refused.failure["ErrorCode"] == "401"


async def test_nobody_is_asked_to_go_on_who_did_not_ask(site: Site) -> None:
    """A request without Expect gets one answer alone."""
    assert (await site.client().post("countReceiveEdoc")).interim == ()


async def test_no_connection_is_kept(open_site: Opener) -> None:
    """The SDK opens a connection for each call and may leave it open: the API closes it, whatever Keep-Alive asks."""
    async with open_site(connections=2) as site:
        key = offer(site)
        readers = []
        for _ in range(5):
            client = site.client()
            client.parameters["docId"] = str(key)
            reader, writer = await asyncio.open_connection("127.0.0.1", int(site.endpoint.rpartition(":")[2]))
            lines = [*client.signed_headers(), ("Host", b"x"), ("Connection", b"Keep-Alive")]
            lines = [b"%s: %s\r\n" % (name.encode(), value) for name, value in lines]
            writer.write(b"GET /downloadEdoc HTTP/1.1\r\n" + b"".join(lines) + b"\r\n")
            async with asyncio.timeout(20):
                answer = await reader.read()
            assert b"\r\nConnection: close\r\n" in answer
            assert answer.endswith(b"</edXML>\n")
            readers.append((reader, writer))
        for _, writer in readers:
            writer.close()


async def test_a_fault_of_ours_has_an_envelope(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks inside, the answer is an error of the API that says nothing of the inside."""

    async def broken(*_: object, **__: object) -> Any:
        raise ZeroDivisionError("bí mật")

    monkeypatch.setattr(site.node, "count_waiting", broken)
    answer = await site.client().post("countReceiveEdoc", b"{}")
    assert answer.failure["ErrorCode"] == "500"
    assert "ZeroDivision" not in answer.failure["ErrorDesc"]
    monkeypatch.setattr(site.node, "delivery", broken)
    assert (await site.client().download(docId="0" * 64 + "-G22")).status == 204


async def test_a_node_that_never_answers_is_not_waited_for(open_site: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK has no time-out of its own: the API answers within its own, with an error."""

    async def forever(*_: object, **__: object) -> Any:
        await asyncio.Event().wait()

    async with open_site(answer_seconds=0.05) as site:
        for name in ("waiting", "count_waiting", "sent", "delivery", "settle", "agencies", "submit"):
            monkeypatch.setattr(site.node, name, forever)
        client, key = site.client(), "0" * 64 + "-G22"
        for operation in ("getReceivedEdocList", "countReceiveEdoc", "getSentEdocList", "getAgenciesList", "getEdoc"):
            assert (await client.post(operation, docId=key, messagetype="edoc")).failure["ErrorCode"] == "503"
        assert (await client.post("updateStatus", docId=key, status="done")).failure["ErrorCode"] == "503"
        monkeypatch.setattr("adapters.vxp.limits._BYTES_A_SECOND", 10**12)
        assert (await site.client().send(classic({}), **{"from": "G22"})).failure["ErrorCode"] == "503"


async def test_requests_beyond_the_limit_wait(open_site: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """While as many as may be are under way, another one waits for its place, and is then answered."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(**_: object) -> int:
        begun.set()
        await go_on.wait()
        return 7

    async with open_site(requests=1) as site:
        monkeypatch.setattr(site.node, "count_waiting", slow)
        first = asyncio.create_task(site.client().post("countReceiveEdoc", b"{}"))
        await begun.wait()
        second = asyncio.create_task(site.client().post("getReceivedEdocList"))
        refused = await site.client(secret="wrong-secret").post("getReceivedEdocList")
        assert (refused.failure["ErrorCode"], second.done(), site.node.calls) == ("401", False, [])
        go_on.set()
        assert (await first).ok["count"] == 7
        assert (await second).ok["data"] == []


@pytest.mark.parametrize("bound", ["_STRANGER_BYTES", "_STRANGER_SECONDS"])
async def test_what_nobody_has_signed_is_read_on_within_bounds(
    site: Site, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    """Whoever has not signed and goes on sending, much or slowly, gets the error and loses the connection."""
    monkeypatch.setattr(f"adapters.vxp.bodies.{bound}", 100_000 if bound == "_STRANGER_BYTES" else 0.1)
    lines = [*site.client(secret="wrong-secret").signed_headers(), ("Host", b"x"), ("Content-Length", b"1" + b"0" * 12)]
    reader, writer = await asyncio.open_connection("127.0.0.1", int(site.endpoint.rpartition(":")[2]))
    writer.write(b"POST /sendEdoc HTTP/1.1\r\n" + b"".join(b"%s: %s\r\n" % (n.encode(), v) for n, v in lines) + b"\r\n")

    async def send_on() -> None:
        piece = bytes(200_000 if bound == "_STRANGER_BYTES" else 1)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)

    # Far less than the connection may be silent, or the node goes on reading for who has signed.
    async with asyncio.timeout(30):
        with pytest.raises(ConnectionError):
            await send_on()
    with contextlib.suppress(ConnectionError):
        assert b'"ErrorCode":"401"' in await reader.read()
    writer.close()


async def test_a_reader_that_stops_is_given_up(open_site: Opener) -> None:
    """A client that takes nothing of its document for so long loses the connection, and its copy goes."""
    content = bytes(8_000_000)
    async with open_site(silence_seconds=0.2) as site:
        key = offer(site, files=[("to.bin", content)])
        client = site.client()
        client.parameters["docId"] = str(key)
        port = int(site.endpoint.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        lines = [*client.signed_headers(), ("Host", b"x")]
        writer.write(
            b"GET /downloadEdoc HTTP/1.1\r\n" + b"".join(b"%s: %s\r\n" % (n.encode(), v) for n, v in lines) + b"\r\n"
        )
        await site.spool_is(empty=False)
        await site.spool_is(empty=True)
        assert len(await reader.read()) < len(content)
        writer.close()


async def test_a_download_under_way_ends_when_the_node_stops(open_site: Opener) -> None:
    """What is being answered when the node stops is answered whole."""
    async with open_site() as site:
        key: DeliveryKey = offer(site, files=[("a.bin", bytes(3_000_000))])
        download = asyncio.create_task(site.client().download(docId=str(key)))
        await site.spool_is(empty=False)
    answer = await download
    assert answer.body.endswith(b"</edXML>\n")


async def test_health_says_whether_it_listens(open_site: Opener) -> None:
    """Before `run` and after it nothing listens, and health says so."""
    async with open_site() as site:
        assert (await site.adapter.health()).ok
    assert not (await site.adapter.health()).ok


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"systems": {}}, "systems"),
        ({"listen": "0.0.0.0:8445"}, "network = true"),
        ({"systems": {"a": {"system_id": "có dấu", "secret_file": "/x", "codes": ["G22"]}}}, "system_id"),
        ({"systems": {"a": {"system_id": "a", "secret_file": "x", "codes": ["G22"]}}}, "absolute"),
        ({"systems": {"a": {"system_id": "a", "secret_file": "/x", "codes": []}}}, "codes"),
        ({"systems": {"a": {"system_id": "a", "secret_file": "/x", "codes": ["g22"]}}}, "small letters"),
        (
            {"systems": {name: {"system_id": "a", "secret_file": "/x", "codes": ["G22"]} for name in "ab"}},
            "same system_id",
        ),
    ],
)
async def test_wrong_settings_are_named(open_site: Opener, changes: dict[str, object], words: str) -> None:
    """Whatever is missing or wrong in the table is told before anything listens."""
    with pytest.raises(Rejected, match=words):
        async with open_site(**changes):
            pass


async def test_a_secret_that_others_can_read_is_refused(site: Site) -> None:
    """A secret file with loose rights stops the adapter, with the mend."""
    secret = site.folder.parent / "a.secret"
    secret.chmod(0o644)
    table = {"systems": {"a": {"system_id": "a", "secret_file": secret, "codes": ["G22"]}}}
    with pytest.raises(Rejected, match="chmod 600"):
        await open_vxp(site.node.context(site.folder, **table))
