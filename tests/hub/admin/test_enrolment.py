"""Enrolment over TLS: a token lets one node in, once, and says the same to whoever asks the same again."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import ClientSession
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.authority import Authority
from certs.enrolment_token import EnrolmentToken
from certs.keys import certificate_request, certificates_pem, fingerprint, parse_certificates
from certs.signed_directory import AppliedVersion, VerifiedVersion, verify_version
from certs.tls import client_context
from hub.settings import HubFolder
from hub.store.agencies import signer_binding
from hub.store.directory import directory_version, put_anchor
from hub.usecases.agencies import NewAgency
from schemas.codes import AgencyCode
from schemas.directory import EntryStatus
from schemas.errors import CongvanError, Rejected, Unavailable
from tests.hub.admin.conftest import Clock, Node, RunningHub, enrol, running
from tests.services.haproxy import list_proxy
from transport.wire import DirectoryAnswer, EnrolmentAnswer, EnrolmentRequest

H23 = AgencyCode("H23")


async def token_for(hub: RunningHub, code: AgencyCode = H23) -> str:
    added = await hub.office.agencies.add(NewAgency(code, f"Agency {code}"), actor="test")
    assert added.token is not None
    return added.token.text


def applied(answer: DirectoryAnswer, root: x509.Certificate, clock: Clock) -> list[VerifiedVersion]:
    """The versions of an answer, each verified as the successor of the one before."""
    versions: list[VerifiedVersion] = []
    after: AppliedVersion | None = None
    for document in answer.versions:
        versions.append(verify_version(document, [root], clock(), after=after))
        after = versions[-1].applied
    return versions


async def test_a_node_enrols_and_reads_the_directory(hub: RunningHub, tmp_path: Path) -> None:
    """A token and two requests give certificates that open the hub, and a seal that the directory names."""
    token = await token_for(hub)
    node = Node.make(tmp_path / "node")
    answer = await enrol(hub.url, token, node.request)
    assert (answer.connection, answer.codes, answer.hub.name) == ("H23", ("H23",), "hub.example.test")
    async with node.speaking(hub.url, answer) as client:
        directory = await client.directory(since=0)
    root = parse_certificates(answer.hub.authority.encode())[0]
    versions = applied(directory, root, hub.clock)
    assert [version.version.number for version in versions] == [1, 2, 3] == list(range(1, directory.latest + 1))
    (seal, _) = parse_certificates(answer.seal_certificates.encode())
    assert seal.public_key() == node.seal_key.public_key()
    (entry,) = versions[-1].version.connections
    assert [x509.load_der_x509_certificate(der) for der in entry.seal_certificates] == [seal]
    assert await seals(hub) == {fingerprint(seal)}


async def test_the_same_request_gets_the_same_answer(hub: RunningHub, tmp_path: Path) -> None:
    """An answer lost on its way is asked for again: same token, same requests, same certificates, no new version."""
    token = await token_for(hub)
    request = Node.make(tmp_path / "node").request
    first = await enrol(hub.url, token, request)
    hub.clock.advance(timedelta(days=30))
    assert await enrol(hub.url, token, request) == first
    assert await hub.office.database.read(directory_version) == 3


async def test_a_token_is_spent_once(hub: RunningHub, tmp_path: Path) -> None:
    """Other requests with a used token are refused, and change nothing."""
    token = await token_for(hub)
    await enrol(hub.url, token, Node.make(tmp_path / "node").request)
    before = await seals(hub)
    with pytest.raises(Rejected) as caught:
        await enrol(hub.url, token, Node.make(tmp_path / "thief").request)
    assert caught.value.code == "token-used"
    assert await seals(hub) == before


async def test_of_two_at_once_one_is_let_in(hub: RunningHub, tmp_path: Path) -> None:
    """Two nodes that show one token at the same moment: one gets certificates, the other is refused."""
    token = await token_for(hub)
    requests = [Node.make(tmp_path / f"node{place}").request for place in range(4)]
    outcomes = await asyncio.gather(*(enrol(hub.url, token, request) for request in requests), return_exceptions=True)
    let_in = [outcome for outcome in outcomes if isinstance(outcome, EnrolmentAnswer)]
    refused = [outcome.code for outcome in outcomes if isinstance(outcome, CongvanError)]
    assert (len(let_in), refused) == (1, ["token-used"] * 3)


async def test_one_request_twice_at_once_is_answered_alike(hub: RunningHub, tmp_path: Path) -> None:
    """A node that asks twice at the same moment gets one set of certificates, twice."""
    token = await token_for(hub)
    request = Node.make(tmp_path / "node").request
    first, *others = await asyncio.gather(*(enrol(hub.url, token, request) for _ in range(4)))
    assert others == [first] * 3


async def test_a_token_expires(hub: RunningHub, tmp_path: Path) -> None:
    """An unused token is good for the days of the setting, not longer."""
    token = await token_for(hub)
    hub.clock.advance(timedelta(days=7))
    with pytest.raises(Rejected) as caught:
        await enrol(hub.url, token, Node.make(tmp_path / "node").request)
    assert caught.value.code == "token-expired"


async def test_a_new_token_voids_the_unused_one(hub: RunningHub, tmp_path: Path) -> None:
    """A token that went to the wrong place is taken back by making another."""
    lost = await token_for(hub)
    fresh = await hub.office.connections.new_token("H23", withdraw_seals=False, actor="test")
    node = Node.make(tmp_path / "node")
    with pytest.raises(Rejected) as caught:
        await enrol(hub.url, lost, node.request)
    assert caught.value.code == "token-unknown"
    assert (await enrol(hub.url, fresh.text, node.request)).connection == "H23"


async def test_enrolling_again_replaces_the_tls_certificate(hub: RunningHub, tmp_path: Path) -> None:
    """After another enrolment the earlier TLS certificate opens nothing; the earlier seal still counts."""
    old, new = Node.make(tmp_path / "old"), Node.make(tmp_path / "new")
    first = await enrol(hub.url, await token_for(hub), old.request)
    token = await hub.office.connections.new_token("H23", withdraw_seals=False, actor="test")
    second = await enrol(hub.url, token.text, new.request)
    async with old.speaking(hub.url, first) as client:
        with pytest.raises(Rejected) as caught:
            await client.directory(since=0)
    assert caught.value.code == "unauthenticated"
    async with new.speaking(hub.url, second) as client:
        assert (await client.directory(since=0)).latest == 4
    assert await seals(hub) == {leaf(first), leaf(second)}


async def test_seals_can_be_withdrawn_with_a_new_token(hub: RunningHub, tmp_path: Path) -> None:
    """For a key in wrong hands: the use of the new token ends the earlier seals, its making does not yet."""
    first = await enrol(hub.url, await token_for(hub), Node.make(tmp_path / "old").request)
    token = await hub.office.connections.new_token("H23", withdraw_seals=True, actor="test")
    assert await seals(hub) == {leaf(first)}
    second = await enrol(hub.url, token.text, Node.make(tmp_path / "new").request)
    assert await seals(hub) == {leaf(second)}


async def seals(hub: RunningHub) -> frozenset[str]:
    binding = await hub.office.database.read(lambda t: signer_binding(t, H23))
    assert binding is not None
    return binding.fingerprints


def leaf(answer: EnrolmentAnswer) -> str:
    return fingerprint(parse_certificates(answer.seal_certificates.encode())[0])


async def test_wrong_tokens_are_slowed_down(hub: RunningHub, tmp_path: Path) -> None:
    """Past ten wrong tokens in a minute an address waits, with a right token too; a minute later it goes on."""
    token = await token_for(hub)
    node = Node.make(tmp_path / "node")
    guess = EnrolmentToken.new(hub.office.keys.authority.root, bytes).encode()
    codes = []
    for _ in range(11):
        with pytest.raises(CongvanError) as caught:
            await enrol(hub.url, guess, node.request)
        codes.append(caught.value.code)
    assert codes == ["token-unknown"] * 10 + ["too-many-requests"]
    assert isinstance(caught.value, Unavailable)
    assert caught.value.retry_after == 60
    with pytest.raises(Unavailable):
        await enrol(hub.url, token, node.request)
    hub.clock.advance(timedelta(seconds=61))
    assert (await enrol(hub.url, token, node.request)).connection == "H23"


async def test_a_suspended_connection_cannot_enrol(hub: RunningHub, tmp_path: Path) -> None:
    """Suspending a connection holds its token too."""
    token = await token_for(hub)
    await hub.office.connections.set_status("H23", EntryStatus.SUSPENDED, actor="test")
    with pytest.raises(Rejected) as caught:
        await enrol(hub.url, token, Node.make(tmp_path / "node").request)
    assert caught.value.code == "connection-suspended"


async def test_one_key_for_both_uses_is_refused(hub: RunningHub, tmp_path: Path) -> None:
    """A key that opens connections must not seal documents."""
    token = await token_for(hub)
    request = Node.make(tmp_path / "node").request
    with pytest.raises(Rejected) as caught:
        await enrol(hub.url, token, EnrolmentRequest(tls_request=request.tls_request, seal_request=request.tls_request))
    assert caught.value.code == "key-shared"


@pytest.mark.parametrize("both", [False, True])
async def test_a_seal_is_asked_for_or_brought(hub: RunningHub, tmp_path: Path, both: bool) -> None:
    """Neither or both of a seal's request and certificate are malformed, and leave the token unspent."""
    token = await token_for(hub)
    request = Node.make(tmp_path / "node").request
    seal = {"seal_request": request.seal_request, "seal_certificates": "x"} if both else {}
    with pytest.raises(Rejected) as caught:
        await enrol(hub.url, token, EnrolmentRequest(tls_request=request.tls_request, **seal))
    assert caught.value.code == "request-malformed"
    assert (await enrol(hub.url, token, request)).connection == "H23"


class TestOwnSeals:
    """Seal certificates that a node brings from another authority."""

    async def enrol_with(self, hub: RunningHub, node: Node, chain: tuple[x509.Certificate, ...]) -> EnrolmentAnswer:
        request = EnrolmentRequest(
            tls_request=certificate_request(node.tls_key, "node", []).decode(),
            seal_certificates=certificates_pem(chain).decode(),
        )
        return await enrol(hub.url, await token_for(hub), request)

    @pytest.fixture
    def node(self, tmp_path: Path) -> Node:
        return Node.make(tmp_path / "node")

    @pytest.fixture
    def foreign(self, tmp_path: Path, clock: Clock) -> Authority:
        return Authority.create(tmp_path / "foreign", "Another authority", now=clock())

    async def trust(self, hub: RunningHub, authority: Authority, *prefixes: str) -> None:
        anchor = authority.seals.certificate
        await hub.office.database.write(
            lambda t: put_anchor(t, fingerprint(anchor), anchor.public_bytes(Encoding.DER), prefixes, at=hub.clock())
        )

    async def test_one_under_an_anchor_is_let_in(self, hub: RunningHub, node: Node, foreign: Authority) -> None:
        """A seal certificate of an authority that the directory trusts for the agency is taken as it is."""
        await self.trust(hub, foreign, "H23")
        chain = foreign.issue_seal(node.seal_key.public_key(), "node", [H23], hub.clock())
        answer = await self.enrol_with(hub, node, chain)
        assert await seals(hub) == {fingerprint(chain[0])} == {leaf(answer)}

    async def test_a_foreign_one_is_refused(self, hub: RunningHub, node: Node, foreign: Authority) -> None:
        """One of an authority that nobody trusts is refused."""
        chain = foreign.issue_seal(node.seal_key.public_key(), "node", [H23], hub.clock())
        with pytest.raises(Rejected) as caught:
            await self.enrol_with(hub, node, chain)
        assert caught.value.code == "seal-certificate-untrusted"

    async def test_an_anchor_holds_for_its_prefix(self, hub: RunningHub, node: Node, foreign: Authority) -> None:
        """One of an authority that is trusted for other agencies alone is refused, naming the agency."""
        await self.trust(hub, foreign, "H2", "H31")
        chain = foreign.issue_seal(node.seal_key.public_key(), "node", [H23], hub.clock())
        with pytest.raises(Rejected, match="H23") as caught:
            await self.enrol_with(hub, node, chain)
        assert caught.value.code == "anchor-prefix"

    async def test_a_tls_certificate_is_no_seal(self, hub: RunningHub, node: Node, foreign: Authority) -> None:
        """A certificate for another use is refused, whoever issued it."""
        await self.trust(hub, foreign, "H23")
        chain = foreign.issue_client(node.seal_key.public_key(), "node", hub.clock())
        with pytest.raises(Rejected) as caught:
            await self.enrol_with(hub, node, chain)
        assert caught.value.code == "seal-certificate-usage"


async def test_behind_a_proxy_each_address_has_its_own_limit(folder: HubFolder, clock: Clock, tmp_path: Path) -> None:
    """A guesser is slowed down by the address that the proxy names, and keeps nobody else behind the proxy out."""
    list_proxy(folder, "127.0.0.1")

    async def code(hub: RunningHub, *named: str) -> str:
        tls = client_context([hub.office.keys.authority.root])
        headers = [("Authorization", "Bearer wrong"), *(("X-Forwarded-For", one) for one in named)]
        async with (
            ClientSession() as session,
            session.post(f"{hub.url}/v1/enrolments", ssl=tls, headers=headers, json=body) as answer,
        ):
            return str((await answer.json(content_type=None))["code"])

    body = Node.make(tmp_path / "node").request.model_dump()
    async with running(folder, clock) as hub:
        assert [await code(hub, "192.0.2.1") for _ in range(11)] == ["token-unknown"] * 10 + ["too-many-requests"]
        assert await code(hub, "192.0.2.2") == "token-unknown"
        # What the client itself had put there stands before the proxy's word.
        assert await code(hub, "192.0.2.9, 192.0.2.1") == "too-many-requests"
        assert await code(hub, "192.0.2.9", "192.0.2.1") == "too-many-requests"
        assert await code(hub) == "token-unknown"
        assert await code(hub, "nonsense") == "token-unknown"
