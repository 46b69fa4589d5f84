"""Who may speak: certificates of ours that are let in, asked of the database at each request."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import ClientSession
from cryptography.hazmat.primitives.serialization import Encoding

from certs.authority import Authority
from certs.keys import certificates_pem, parse_certificates
from certs.tls import client_context
from hub.http.peer import CLIENT_CERT
from hub.settings import HubFolder
from hub.usecases.agencies import NewAgency
from schemas.codes import AgencyCode
from schemas.directory import EntryStatus
from schemas.errors import Rejected, Unavailable
from tests.hub.admin.conftest import Clock, Node, RunningHub, enrol, running
from tests.services.haproxy import list_proxy
from transport.client import open_hub_client
from transport.wire import EnrolmentAnswer


async def enrolled(hub: RunningHub, node: Node) -> EnrolmentAnswer:
    added = await hub.office.agencies.add(NewAgency(AgencyCode("H23"), "Hải Dương"), actor="test")
    assert added.token is not None
    return await enrol(hub.url, added.token.text, node.request)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node.make(tmp_path / "node")


async def test_without_a_certificate_nothing_is_told(hub: RunningHub) -> None:
    """A caller without a certificate is sent to enrol."""
    async with open_hub_client(hub.url, client_context([hub.office.keys.authority.root])) as client:
        with pytest.raises(Rejected) as caught:
            await client.directory(since=0)
    assert caught.value.code == "unauthenticated"


async def test_a_certificate_that_was_not_let_in_opens_nothing(hub: RunningHub, node: Node) -> None:
    """The authority's signature is not enough: the certificate must be one that an enrolment let in."""
    answer = await enrolled(hub, node)
    another = hub.office.keys.authority.issue_client(node.tls_key.public_key(), "H23", hub.clock())
    forged = answer.model_copy(update={"tls_certificates": certificates_pem(another).decode()})
    async with node.speaking(hub.url, forged) as client:
        with pytest.raises(Rejected) as caught:
            await client.directory(since=0)
    assert caught.value.code == "unauthenticated"


async def test_another_authoritys_certificate_ends_the_handshake(hub: RunningHub, node: Node, tmp_path: Path) -> None:
    """A certificate of an unknown authority is not even listened to."""
    answer = await enrolled(hub, node)
    foreign = Authority.create(tmp_path / "foreign", "Another authority", now=hub.clock())
    chain = foreign.issue_client(node.tls_key.public_key(), "H23", hub.clock())
    forged = answer.model_copy(update={"tls_certificates": certificates_pem(chain).decode()})
    async with node.speaking(hub.url, forged) as client:
        with pytest.raises(Unavailable) as caught:
            await client.directory(since=0)
    assert caught.value.code == "hub-unreachable"


async def test_suspension_counts_at_the_next_request(hub: RunningHub, node: Node) -> None:
    """A suspended connection is refused on the TLS connection that it has open, a resumed one let in again."""
    async with node.speaking(hub.url, await enrolled(hub, node)) as client:
        assert (await client.directory(since=0)).latest == 3
        await hub.office.connections.set_status("H23", EntryStatus.SUSPENDED, actor="test")
        with pytest.raises(Rejected) as caught:
            await client.directory(since=0)
        assert caught.value.code == "connection-suspended"
        await hub.office.connections.set_status("H23", EntryStatus.ACTIVE, actor="test")
        assert (await client.directory(since=0)).latest == 5


async def test_an_expired_certificate_opens_nothing(hub: RunningHub, node: Node) -> None:
    """A TLS connection that outlives its certificate is of no use."""
    async with node.speaking(hub.url, await enrolled(hub, node)) as client:
        await client.directory(since=0)
        hub.clock.advance(timedelta(days=2 * 365))
        with pytest.raises(Rejected) as caught:
            await client.directory(since=0)
    assert caught.value.code == "unauthenticated"


class TestProxy:
    """Client-Cert (RFC 9440) from a proxy that terminates TLS."""

    def certificate(self, answer: EnrolmentAnswer) -> str:
        leaf = parse_certificates(answer.tls_certificates.encode())[0]
        return f":{b64encode(leaf.public_bytes(Encoding.DER)).decode()}:"

    async def status(self, hub: RunningHub, *headers: str) -> tuple[int, str | None]:
        """Status and problem code of a call to the directory with these Client-Cert headers, and no certificate."""
        tls = client_context([hub.office.keys.authority.root])
        async with (
            ClientSession() as session,
            session.get(
                f"{hub.url}/v1/directory", ssl=tls, headers=[(CLIENT_CERT, header) for header in headers]
            ) as answer,
        ):
            return answer.status, (await answer.json(content_type=None)).get("code")

    async def test_a_forged_header_is_ignored(self, hub: RunningHub, node: Node) -> None:
        """Certificates are public: who is no listed proxy gains nothing by showing one in a header."""
        header = self.certificate(await enrolled(hub, node))
        assert await self.status(hub, header) == (401, "unauthenticated")

    @pytest.fixture
    def behind_proxy(self, folder: HubFolder) -> HubFolder:
        """The same hub, with 127.0.0.1 listed as a proxy."""
        list_proxy(folder, "127.0.0.1")
        return folder

    async def test_a_listed_proxy_is_believed(self, behind_proxy: HubFolder, clock: Clock, node: Node) -> None:
        """From a listed address the header is the certificate; twice, or malformed, it is none."""
        async with running(behind_proxy, clock) as hub:
            header = self.certificate(await enrolled(hub, node))
            assert await self.status(hub, header) == (200, None)
            assert await self.status(hub) == (401, "unauthenticated")
            assert await self.status(hub, header, header) == (401, "unauthenticated")
            assert await self.status(hub, header.strip(":")) == (401, "unauthenticated")
            assert await self.status(hub, ":!:") == (401, "unauthenticated")

    async def test_the_proxys_own_certificate_is_no_nodes(
        self, behind_proxy: HubFolder, clock: Clock, node: Node
    ) -> None:
        """A proxy that shows a certificate itself does not speak as that node."""
        async with running(behind_proxy, clock) as hub:
            answer = await enrolled(hub, node)
            async with node.speaking(hub.url, answer) as client:
                with pytest.raises(Rejected) as caught:
                    await client.directory(since=0)
            assert caught.value.code == "unauthenticated"
