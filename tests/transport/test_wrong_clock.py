"""A clock that is wrong by so much that TLS fails: it is said to be the clock, with the hub's time beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from certs.authority import Authority
from certs.keys import new_p256_key, write_certificates, write_key
from certs.tls import client_context, server_context
from schemas.errors import Unavailable
from transport import paths
from transport.client import open_hub_client

NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("issued", "why"), [(NOW + timedelta(days=2), "not yet valid"), (NOW - timedelta(days=500), "expired")]
)
async def test_a_certificate_that_is_not_valid_now_is_laid_to_the_clock(
    tmp_path: Path, issued: datetime, why: str
) -> None:
    """A handshake that fails for the time alone is for later, and tells both clocks; nothing else is asked."""
    authority = Authority.create(tmp_path / "authority", "Test", now=NOW - timedelta(days=600))
    key = new_p256_key()
    write_key(tmp_path / "tls.key", key, None)
    write_certificates(tmp_path / "tls.pem", authority.issue_server(key.public_key(), ["127.0.0.1"], issued))
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        tls = server_context(tmp_path / "tls.pem", tmp_path / "tls.key", None, [authority.root])
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        async with open_hub_client(url, client_context([authority.root])) as client:
            with pytest.raises(Unavailable, match=why) as raised:
                await client.directory(since=0)
    finally:
        await runner.cleanup()
    assert raised.value.code == "hub-certificate"
    assert f"{NOW:%Y}" in raised.value.message.split("The hub's own clock says")[1]
    assert "clock" in (raised.value.mend or "")
    assert asked == [paths.LIVENESS]
