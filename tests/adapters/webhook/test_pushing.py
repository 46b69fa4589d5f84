"""What is pushed, how it is signed, and what each answer means."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from adapters.sdk import Accepted, Later, Never, Outcome, Refused
from adapters.webhook import Webhook, open_webhook
from certs.signed_posts import signature
from runtime.files import write_file
from schemas.errors import CongvanError
from tests.adapters.simulator import NodeSimulator
from tests.adapters.webhook.conftest import SECRET, Software, opened
from tests.schemas.samples import DOCUMENT

PDF = ("tờ trình.pdf", b"%PDF-1.7" * 1000)


async def test_a_message_is_pushed_once_signed_and_whole(
    webhook: Webhook, node: NodeSimulator, software: Software
) -> None:
    """The body holds the message under metadata's names with its key; the signature covers time and body."""
    delivery = node.delivery(DOCUMENT, attachments=[PDF])
    assert await webhook.deliver(delivery) == Accepted()
    [(request, body)] = software.requests
    pushed = json.loads(body)
    assert (request.path, request.content_type) == ("/dms", "application/json")
    assert request.headers["Congvan-Delivery"] == pushed["key"] == str(delivery.key)
    assert pushed["message"]["subject"] == DOCUMENT.subject
    expected = signature(SECRET, request.headers["Congvan-Timestamp"], body)
    assert hmac.compare_digest(request.headers["Congvan-Signature"], f"v1={expected}")
    [attachment] = pushed["attachments"]
    assert (attachment["name"], attachment["size"]) == (PDF[0], len(PDF[1]))
    async with ClientSession() as session, session.get(attachment["url"]) as answer:
        assert (answer.status, await answer.read()) == (200, PDF[1])


def problem(status: int, **members: object) -> Callable[[], web.Response]:
    return lambda: web.json_response(members, status=status)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (problem(200), Accepted()),
        (problem(202), Accepted()),
        (problem(422, reason=" Sai thẩm quyền "), Refused("Sai thẩm quyền")),
        (problem(410, detail="Sai"), Refused("Sai")),
        (problem(422), Never("The software refused it with status 422 and no reason.")),
        (problem(422, reason=5), Never("The software refused it with status 422 and no reason.")),
        (
            lambda: web.Response(status=410, body=b"\xff" * 100_000),
            Never("The software refused it with status 410 and no reason."),
        ),
        (problem(400), Never("The software cannot take it: status 400.")),
        (problem(413), Never("The software cannot take it: status 413.")),
        (problem(401), Later("The software answered with status 401.")),
        (problem(404), Later("The software answered with status 404.")),
        (problem(500), Later("The software answered with status 500.")),
        (
            lambda: web.Response(status=429, headers={"Retry-After": "7"}),
            Later("The software answered with status 429.", 7.0),
        ),
        (
            lambda: web.Response(status=503, headers={"Retry-After": "Fri, 20 Nov 2026 01:31:00 GMT"}),
            Later("The software answered with status 503.", 60.0),
        ),
        (
            lambda: web.Response(status=503, headers={"Retry-After": "9" * 400}),
            Later("The software answered with status 503."),
        ),
        (
            lambda: web.Response(status=503, headers={"Retry-After": "soon"}),
            Later("The software answered with status 503."),
        ),
    ],
)
async def test_each_answer_means_one_outcome(
    webhook: Webhook, node: NodeSimulator, software: Software, answer: Callable[[], web.Response], outcome: Outcome
) -> None:
    """2xx took it; 410 and 422 refuse it if they say why; what can never be taken is parked; all else is for later."""
    software.answer = answer
    assert await webhook.deliver(node.delivery(DOCUMENT)) == outcome
    assert (await webhook.health()).ok is not isinstance(outcome, Later)


async def test_a_redirect_is_not_followed(webhook: Webhook, node: NodeSimulator, software: Software) -> None:
    """Whatever address an answer names, nothing is sent there."""
    software.answer = lambda: web.Response(status=307, headers={"Location": f"{software.url}/elsewhere"})
    assert await webhook.deliver(node.delivery(DOCUMENT)) == Later("The software answered with status 307.")
    assert [request.path for request, _ in software.requests] == ["/dms"]


async def test_software_that_is_away_or_silent_is_for_later(
    node: NodeSimulator, software: Software, tmp_path: Path
) -> None:
    """A refused connection and an answer that does not come are tried again; the address stands in neither reason."""
    async with opened(node, tmp_path, "http://user:hidden@127.0.0.1:9/x") as adapter:
        outcome = await adapter.deliver(node.delivery(DOCUMENT))
    assert isinstance(outcome, Later)
    assert "hidden" not in outcome.reason + repr(adapter._settings)
    hanging = asyncio.Event()

    async def hang() -> web.Response:
        await hanging.wait()
        return web.Response()

    software.answer = hang
    async with opened(node, tmp_path, software.url, timeout_seconds=0.2) as adapter:
        assert await adapter.deliver(node.delivery(DOCUMENT)) == Later("The software did not answer within 0.2 s.")
    hanging.set()


async def test_attachments_come_inside_as_far_as_they_fit(
    node: NodeSimulator, software: Software, tmp_path: Path
) -> None:
    """Inline, what fits into the bytes that are allowed stands in the body; the rest comes by link."""
    files = [("a.txt", b"1" * 600), ("b.txt", b"2" * 600), ("c.txt", b"3" * 400), ("d.txt", b"")]
    async with opened(node, tmp_path, software.url, attachments="inline", inline_bytes=1000) as adapter:
        await adapter.deliver(node.delivery(DOCUMENT, attachments=files))
    attached = json.loads(software.requests[0][1])["attachments"]
    inside = {one["name"]: base64.b64decode(one["content"]) for one in attached if "content" in one}
    assert inside == {"a.txt": files[0][1], "c.txt": files[2][1], "d.txt": b""}
    assert [one["name"] for one in attached if "url" in one] == ["b.txt"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "http://dms.example/x"}, "https"),
        ({"url": "ftp://127.0.0.1/x"}, "no web address"),
        ({"url": "http://u:hidden@dms.example/x"}, "https"),
        ({"secret_file": "secret"}, "absolute"),
        ({"listen": "0.0.0.0:1"}, "network"),
        ({"link_base": "node"}, "no web address"),
        ({"ca_file": "/dev/null"}, "no certificates"),
    ],
)
async def test_settings_that_would_be_unsafe_are_refused(
    node: NodeSimulator, tmp_path: Path, settings: dict[str, object], said: str
) -> None:
    """Plain HTTP to another machine, a listener for the network, no trust: each is refused, and no password is told."""
    secret = tmp_path / "secret"
    write_file(secret, SECRET)
    with pytest.raises(CongvanError, match=said) as caught:
        await open_webhook(
            node.context(tmp_path, **{"url": "https://dms.example/", "secret_file": str(secret), **settings})
        )
    assert "hidden" not in str(caught.value)


async def test_a_short_or_open_secret_is_refused(node: NodeSimulator, tmp_path: Path) -> None:
    """A secret that others can read, or that is too short to hold, signs nothing."""
    secret = tmp_path / "secret"
    table = {"url": "https://dms.example/", "secret_file": str(secret)}
    for content, mode, code in ((b"short", 0o600, "secret-short"), (SECRET, 0o644, "secret-permissions")):
        secret.write_bytes(content)
        secret.chmod(mode)
        with pytest.raises(CongvanError) as caught:
            await open_webhook(node.context(tmp_path, **table))
        assert caught.value.code == code
