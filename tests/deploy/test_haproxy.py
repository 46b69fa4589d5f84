"""A real hub behind a real HAProxy with the operators' configuration: who is who, what streams, what is survived."""

from __future__ import annotations

import asyncio
import shutil
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.enrolment_token import EnrolmentToken
from certs.keys import read_certificates
from certs.tls import client_context
from congvan.demo.programs import Program, free_port, listening
from hub.foundation import open_foundation as open_hub
from hub.initialisation import NewHub, initialise
from hub.settings import HubFolder
from hub.usecases.agencies import NewAgency
from node.initialisation import NewNode
from node.initialisation import initialise as initialise_node
from node.settings import NodeFolder
from node.usecases.enrolment import KeyFiles
from runtime.clock import utc_now
from schemas.codes import AgencyCode
from schemas.errors import Unavailable
from tests.programs import exchange
from tests.services.haproxy import HAProxy, list_proxy
from tests.services.postgres import PostgresServer
from transport.client import open_hub_client

MIB = 1024 * 1024
LARGE = 24 * MIB
#: Where nothing listens.
NO_HUB = ("127.0.0.1:9",)


@dataclass(frozen=True, slots=True)
class Proxied:
    """A site whose nodes know the proxy alone. `second`: an equal hub process, its folder its own, not started."""

    site: exchange.Site
    proxy: HAProxy
    second: Program
    second_port: int

    def node(self, code: str) -> NodeFolder:
        return NodeFolder(self.site.node_folder(code))

    async def asked(
        self, path: str, *, certificate_of: str | None, claims: str | None = None, direct: bool = False
    ) -> tuple[int, str]:
        """Status and text of a call that shows one node's certificate in TLS, another's in a header of its own."""
        own = KeyFiles(self.node(certificate_of).keys, None) if certificate_of else None
        roots = read_certificates(HubFolder(self.site.hub_folder).authority / "root.pem")
        tls = client_context(roots, own and own.tls_chain, own and own.tls_key)
        headers = {}
        if claims:
            [leaf, *_] = read_certificates(self.node(claims).keys / "tls.pem")
            headers = {"Client-Cert": f":{b64encode(leaf.public_bytes(Encoding.DER)).decode()}:"}
        url = self.site.url if direct else self.proxy.url
        async with (
            aiohttp.ClientSession() as session,
            session.get(url + path, ssl=tls, headers=headers) as answer,
        ):
            return answer.status, await answer.text()


@pytest.fixture
async def proxied(tmp_path: Path, postgres: PostgresServer) -> AsyncIterator[Proxied]:
    site = exchange.site(tmp_path)
    site.databases["hub"] = postgres.settings(postgres.create_database(), tmp_path / "hub.password")
    hub = HubFolder(site.hub_folder)
    second_port = free_port(site.host)
    second = Program(
        ("hub", "serve", "--dir", str(tmp_path / "hub-2")),
        tmp_path / "hub-2.log",
        environment={"CONGVAN_HUB__LOG__FORMAT": "json", "CONGVAN_HUB__HUB__LISTEN": f"{site.host}:{second_port}"},
    )
    proxy = HAProxy(tmp_path / "haproxy", hub, name=site.name)
    site.environment["CONGVAN_NODE__HUB__URL"] = proxy.url
    try:
        await site.set_up()
        await site.hub.stop()
        list_proxy(hub, proxy.source)
        shutil.copytree(hub.root, tmp_path / "hub-2", ignore=shutil.ignore_patterns("data"))
        await site.start_hub()
        await proxy.start((f"{site.host}:{site.port}", f"{site.host}:{second_port}"))
        yield Proxied(site, proxy, second, second_port)
    finally:
        await site.stop()
        if second.is_running:
            await second.stop()
        await proxy.kill()


async def enrolled_through(proxied: Proxied, code: str) -> None:
    """A node of a new agency, made through the proxy."""
    async with open_hub(HubFolder(proxied.site.hub_folder)) as hub:
        added = await hub.agencies.add(NewAgency(AgencyCode.parse(code), "UBND tỉnh Hưng Yên", (), None), actor="test")
    assert added.token is not None
    token = EnrolmentToken.parse(added.token.text)
    await initialise_node(proxied.node(code), NewNode(hub=proxied.proxy.url, token=token), clock=utc_now)


@pytest.mark.programs
@pytest.mark.timeout(300)
async def test_the_exchange_goes_on_behind_the_proxy(proxied: Proxied) -> None:
    """Documents pass, large ones in little memory; only TLS says who asks; another hub process takes over the polls."""
    site = proxied.site
    await site.start_nodes()
    exchange.drop(site, 1)
    [story] = await exchange.settled(site, 1)
    before = proxied.proxy.peak_memory
    exchange.drop(site, 2, content=b"%PDF-" + bytes(LARGE))
    await exchange.settled(site, 2)
    assert proxied.proxy.peak_memory - before < LARGE / 4

    await enrolled_through(proxied, "H31")
    message = f"/v1/messages/{story.message.message_id}"
    assert (await proxied.asked(message, certificate_of="G22"))[0] == 200
    # A forged header: without a certificate, beside an own one, and past the proxy.
    assert (await proxied.asked(message, certificate_of=None, claims="G22"))[0] == 401
    assert (await proxied.asked(message, certificate_of="H31", claims="G22"))[0] == 404
    assert (await proxied.asked(message, certificate_of="H31", claims="G22", direct=True))[0] == 404
    assert (await proxied.asked(message, certificate_of=None, claims="G22", direct=True))[0] == 401
    assert "peer.header_ignored" in site.hub.log.read_text(encoding="utf-8")
    assert (await proxied.asked("/metrics", certificate_of=None))[0] == 404

    # Another process beside it: what one accepts, the other hands out.
    await proxied.second.start()
    await listening(site.host, proxied.second_port)
    for number in (3, 4, 5, 6):
        exchange.drop(site, number)
    await exchange.settled(site, 6)

    async def both_serve() -> bool:
        served = await asyncio.to_thread(proxied.proxy.log.read_text, encoding="utf-8")
        return " hubs/hub1 " in served and " hubs/hub2 " in served

    await exchange.until(both_serve, "both hub processes to have answered a request")
    # One dies while nodes wait in long polls.
    await site.hub.kill()
    exchange.drop(site, 7)
    await exchange.settled(site, 7)
    assert len(await exchange.subjects(site, "H23")) == 7


@pytest.fixture
async def hub_folder(tmp_path: Path) -> HubFolder:
    folder = HubFolder(tmp_path / "hub")
    await initialise(folder, NewHub("hub.example.test", "127.0.0.1:0", ("127.0.0.1",)), clock=utc_now)
    return folder


async def test_a_certificate_of_another_authority_ends_the_handshake(tmp_path: Path, hub_folder: HubFolder) -> None:
    """What the hub's authority did not issue never becomes a header."""
    other = HubFolder(tmp_path / "other")
    await initialise(other, NewHub("hub.example.test", "127.0.0.1:0", ("127.0.0.1",)), clock=utc_now)
    proxy = HAProxy(tmp_path / "haproxy", hub_folder, name="hub.example.test")
    await proxy.start(NO_HUB)
    try:
        roots = read_certificates(hub_folder.authority / "root.pem")
        tls = client_context(roots, other.keys / "push.pem", other.keys / "tls.key")
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"{proxy.url}/v1/directory", ssl=tls)
            async with session.get(f"{proxy.url}/v1/directory", ssl=client_context(roots)) as answer:
                assert answer.status == 503, "without a certificate the handshake holds; there is only no hub"
    finally:
        await proxy.stop()


async def test_who_floods_is_told_when_to_come_back(tmp_path: Path, hub_folder: HubFolder) -> None:
    """Beyond the limit of an address the proxy answers in the protocol's own words, with Retry-After."""
    proxy = HAProxy(
        tmp_path / "haproxy",
        hub_folder,
        name="hub.example.test",
        changes={"http_req_rate gt 30000": "http_req_rate gt 1"},
    )
    await proxy.start(NO_HUB)
    try:
        roots = read_certificates(hub_folder.authority / "root.pem")
        async with open_hub_client(proxy.url, client_context(roots)) as client:
            errors = []
            for _ in range(2):
                with pytest.raises(Unavailable) as caught:
                    await client.directory(since=0)
                errors.append((caught.value.code, caught.value.retry_after))
        assert errors == [("hub-failed", None), ("too-many-requests", 10)]
    finally:
        await proxy.stop()
