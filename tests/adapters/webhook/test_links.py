"""Links to attachments: each opens one attachment for a while, and nothing else."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import ClientPayloadError, ClientSession
from yarl import URL

from adapters.sdk import Delivery
from adapters.webhook import Webhook
from schemas.errors import Unavailable
from tests.adapters.simulator import NOW, NodeSimulator
from tests.adapters.webhook.conftest import Software, opened
from tests.schemas.samples import DOCUMENT

CONTENT = bytes(range(256)) * 40


async def link_of(webhook: Webhook, software: Software, delivery: Delivery) -> URL:
    await webhook.deliver(delivery)
    return URL(json.loads(software.requests[-1][1])["attachments"][0]["url"], encoded=True)


async def test_a_link_is_fetched_whole_or_in_ranges(webhook: Webhook, node: NodeSimulator, software: Software) -> None:
    """A link needs no other right, gives exactly the bytes, and goes on where a download broke off."""
    link = await link_of(webhook, software, node.delivery(DOCUMENT, attachments=[("số 1/2.pdf", CONTENT)]))
    async with ClientSession() as session:
        async with session.get(link) as answer:
            assert (answer.status, await answer.read()) == (200, CONTENT)
            assert answer.headers["Content-Disposition"].startswith("attachment;")
        async with session.get(link, headers={"Range": "bytes=5000-"}) as answer:
            assert (answer.status, await answer.read()) == (206, CONTENT[5000:])


async def test_a_changed_link_opens_nothing(webhook: Webhook, node: NodeSimulator, software: Software) -> None:
    """Another attachment, size, name, time or signature: the link is none of the node's, whatever is there."""
    other = node.delivery(DOCUMENT, attachments=[("other", b"other")]).attachments[0]
    link = str(await link_of(webhook, software, node.delivery(DOCUMENT, attachments=[("a.pdf", CONTENT)])))
    digest = link.partition("/attachments/")[2][:64]
    expires = URL(link, encoded=True).query["expires"]
    async with ClientSession() as session:
        for changed in (
            link.replace(digest, other.digest),
            link.replace(f"/{len(CONTENT)}/", "/1/"),
            link.replace("a.pdf", "b.pdf"),
            link.replace(f"expires={expires}", f"expires={int(expires) + 1}"),
            link.replace(f"expires={expires}", "expires=x"),
            link[:-1] + ("0" if link[-1] != "0" else "1"),
            link.partition("&signature")[0],
            link.partition("?")[0],
        ):
            async with session.get(URL(changed, encoded=True)) as answer:
                assert (answer.status, (await answer.json())["code"]) == (403, "link-invalid"), changed
        async with session.get(URL(link, encoded=True)) as answer:
            assert answer.status == 200


async def test_a_link_ends(node: NodeSimulator, software: Software, tmp_path: Path) -> None:
    """From its last second on a link is answered with 410, with the rule's name."""
    now = NOW

    def clock() -> datetime:
        return now

    async with opened(node, tmp_path, software.url, link_seconds=600) as adapter:
        adapter._links._clock = clock
        link = await link_of(adapter, software, node.delivery(DOCUMENT, attachments=[("a.pdf", CONTENT)]))
        async with ClientSession() as session:
            for seconds, status in ((599, 200), (600, 410)):
                now = NOW + timedelta(seconds=seconds)
                async with session.get(link) as answer:
                    assert answer.status == status


async def test_an_attachment_that_breaks_off_is_no_whole_one(
    webhook: Webhook, node: NodeSimulator, software: Software, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its first byte a fault is a problem document; later the connection ends, with nothing in its place."""
    link = await link_of(webhook, software, node.delivery(DOCUMENT, attachments=[("a.pdf", CONTENT)]))
    given: list[bytes] = []

    @contextlib.asynccontextmanager
    async def failing(_digest: str, *, start: int = 0) -> AsyncIterator[AsyncIterator[bytes]]:
        async def chunks() -> AsyncIterator[bytes]:
            for chunk in given:
                yield chunk
            raise Unavailable("storage-failed", "The disk fails.")

        assert start == 0
        yield chunks()

    monkeypatch.setattr(node, "open_attachment", failing)
    async with ClientSession() as session:
        async with session.get(link) as answer:
            assert (answer.status, (await answer.json())["code"]) == (503, "storage-failed")
        given.append(CONTENT[:1000])
        async with session.get(link) as answer:
            with pytest.raises(ClientPayloadError):
                await answer.read()
