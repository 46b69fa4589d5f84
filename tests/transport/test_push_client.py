"""The hub's side of a push: what an endpoint answers, in the words that the hub goes by."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from certs.authority import Authority
from certs.keys import fingerprint, new_p256_key, write_certificates, write_key
from certs.tls import push_client_context, push_server_context
from schemas.errors import Unavailable
from transport.push_client import PushClient, open_push_client


class Endpoint:
    """A node's endpoint that answers as it is told."""

    def __init__(self, folder: Path) -> None:
        now = datetime.now(UTC)
        self.authority = Authority.create(folder / "authority", "Push", now=now)
        self.came: list[tuple[str, bytes]] = []
        self.files: dict[str, tuple[Path, Path]] = {}
        for name, issue in {
            "hub": lambda key: self.authority.issue_push(key, "hub.example", now),
            "node": lambda key: self.authority.issue_client(key, "H23", now),
        }.items():
            key = new_p256_key()
            chain = issue(key.public_key())
            self.files[name] = folder / f"{name}.pem", folder / f"{name}.key"
            write_certificates(self.files[name][0], chain)
            write_key(self.files[name][1], key, None)
            self.fingerprint = fingerprint(chain[0])

    def tls(self, name: str) -> ssl.SSLContext:
        chain, key = self.files[name]
        if name == "hub":
            return push_client_context(chain, key, None)
        return push_server_context(chain, key, None, [self.authority.root])

    @contextlib.asynccontextmanager
    async def answering(self, answer: Callable[[], web.Response]) -> AsyncIterator[PushClient]:
        """A client of the endpoint, which answers every request so."""

        async def take(request: web.Request) -> web.Response:
            self.came.append((request.path, await request.read()))
            return answer()

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", take)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self.tls("node"))
        await site.start()
        url = f"https://127.0.0.1:{site.port}"
        try:
            async with open_push_client(url, self.tls("hub"), self.fingerprint, patience=10) as client:
                yield client
        finally:
            await runner.cleanup()


@pytest.fixture
def endpoint(tmp_path: Path) -> Endpoint:
    return Endpoint(tmp_path)


async def test_a_batch_goes_as_it_is_to_the_one_address(endpoint: Endpoint) -> None:
    """The bytes that were made are the bytes that arrive; any 2xx takes them."""
    async with endpoint.answering(lambda: web.Response(status=204)) as client:
        await client.push(b'{"entries": []}')
    assert endpoint.came == [("/v1/push", b'{"entries": []}')]


@pytest.mark.parametrize(
    ("status", "headers", "code", "wait"),
    [
        (307, {"Location": "/elsewhere"}, "push-failed", None),
        (301, {"Location": "https://127.0.0.1:1/"}, "push-failed", None),
        (403, {}, "push-failed", None),
        (500, {}, "push-failed", None),
        (503, {"Retry-After": "17"}, "push-busy", 17),
        (429, {}, "push-busy", 5),
        (503, {"Retry-After": "Sun, 22 Nov 2026 02:30:00 GMT"}, "push-busy", 5),
    ],
)
async def test_what_is_not_taken_is_busy_or_failed_and_goes_nowhere_else(
    endpoint: Endpoint, status: int, headers: dict[str, str], code: str, wait: float | None
) -> None:
    """A redirect is a failure; 429 and 503 are busy, for as long as they say in seconds, or a little."""
    async with endpoint.answering(lambda: web.Response(status=status, headers=headers)) as client:
        with pytest.raises(Unavailable) as caught:
            await client.push(b"{}")
    assert (caught.value.code, caught.value.retry_after) == (code, wait)
    assert [path for path, _ in endpoint.came] == ["/v1/push"]


async def test_an_error_tells_the_address_and_nothing_of_python(endpoint: Endpoint) -> None:
    """Operators read it: the system's word for what went wrong."""
    async with open_push_client(
        "https://127.0.0.1:1", endpoint.tls("hub"), endpoint.fingerprint, patience=10
    ) as client:
        with pytest.raises(Unavailable) as caught:
            await client.push(b"{}")
    assert caught.value.code == "push-unreachable"
    assert "https://127.0.0.1:1" in caught.value.message
    assert "object at" not in caught.value.message
