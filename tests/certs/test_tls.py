"""TLS between node and hub, in real handshakes on loopback."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.authority import Authority
from certs.certificate_profiles import Chain
from certs.errors import KeyRejected
from certs.keys import new_p256_key, write_certificates, write_key
from certs.tls import client_context, connection_of, server_context

#: TLS asks the machine's clock, so these certificates are made now.
NOW = datetime.now(UTC)


class Identity:
    """A key file and a chain file."""

    def __init__(self, folder: Path, name: str, authority: Authority, kind: str) -> None:
        key = new_p256_key()
        public = key.public_key()
        self.chain: Chain = {
            "server": lambda: authority.issue_server(public, ["127.0.0.2", "hub.example"], NOW),
            "client": lambda: authority.issue_client(public, name, NOW),
            "seal": lambda: authority.issue_seal(public, name, [], NOW),
        }[kind]()
        self.key_path, self.chain_path = folder / f"{name}.key", folder / f"{name}.pem"
        write_key(self.key_path, key, b"secret")
        write_certificates(self.chain_path, self.chain)


class World:
    """A hub's identity, and its authority beside a foreign one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.own = Authority.create(folder / "own", "Trục", now=NOW)
        self.foreign = Authority.create(folder / "foreign", "Khác", now=NOW)
        self.hub = Identity(folder, "hub", self.own, "server")
        self.node = Identity(folder, "c-1", self.own, "client")

    def server(self) -> ssl.SSLContext:
        return server_context(self.hub.chain_path, self.hub.key_path, b"secret", [self.own.root])

    def client(self, identity: Identity | None = None, authorities: Iterable[Authority] = ()) -> ssl.SSLContext:
        roots = [authority.root for authority in authorities] or [self.own.root]
        if identity is None:
            return client_context(roots)
        return client_context(roots, identity.chain_path, identity.key_path, b"secret")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("tls"))


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str = "127.0.0.2") -> tuple[bytes | None, str]:
    """The client's certificate as the server saw it, and the version; raises what either side raises."""
    faults: list[BaseException] = []
    seen: list[tuple[bytes | None, str]] = []

    def serve(listener: socket.socket) -> None:
        try:
            plain, _ = listener.accept()
            with plain, server.wrap_socket(plain, server_side=True) as connection:
                seen.append((connection.getpeercert(binary_form=True), connection.version() or ""))
                connection.sendall(b"x")
        except OSError as error:
            faults.append(error)

    with socket.create_server(("127.0.0.2", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            with (
                socket.create_connection(listener.getsockname(), timeout=10) as plain,
                client.wrap_socket(plain, server_hostname=name) as connection,
            ):
                # In TLS 1.3 a server judges the client's certificate after the client's handshake is over.
                connection.recv(1)
        finally:
            thread.join()
    if faults:
        raise faults[0]
    return seen[0]


def test_a_node_is_known_by_its_certificate(world: World) -> None:
    """The hub sees which connection a node has, over TLS 1.3."""
    certificate, version = handshake(world.server(), world.client(world.node))
    assert certificate is not None
    assert connection_of(certificate) == "c-1"
    assert version == "TLSv1.3"


def test_a_client_may_come_without_a_certificate(world: World) -> None:
    """Whoever enrols has none yet; the hub sees that it has none."""
    certificate, _ = handshake(world.server(), world.client())
    assert certificate is None


def test_a_hub_by_its_dns_name(world: World) -> None:
    """The name dialled may be an address or a DNS name of the certificate."""
    assert handshake(world.server(), world.client(world.node), "hub.example")[0]


@pytest.mark.parametrize("name", ["127.0.0.3", "other.example"])
def test_a_hub_under_another_name_is_refused(world: World, name: str) -> None:
    """A certificate for another name is not the hub's."""
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(world.server(), world.client(world.node), name)


def test_a_hub_of_another_authority_is_refused(world: World) -> None:
    """A node believes the authority that its token named, and no other."""
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(world.server(), world.client(world.node, [world.foreign]))


@pytest.mark.parametrize(("authority", "kind"), [("foreign", "client"), ("own", "seal"), ("own", "server")])
def test_a_certificate_for_something_else_opens_no_connection(world: World, authority: str, kind: str) -> None:
    """Neither another authority's client certificate nor our own for seals or servers is taken from a client."""
    folder = world.folder / f"{authority}-{kind}"
    folder.mkdir()
    identity = Identity(folder, "c-2", world.own if authority == "own" else world.foreign, kind)
    with pytest.raises(ssl.SSLError):
        handshake(world.server(), world.client(identity))


def test_a_node_certificate_serves_nobody(world: World) -> None:
    """A node's client certificate cannot play the hub."""
    server = server_context(world.node.chain_path, world.node.key_path, b"secret", [world.own.root])
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, world.client())


def test_tls_1_1_is_refused(world: World) -> None:
    """A peer that knows nothing newer than TLS 1.1 gets no connection."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        handshake(world.server(), old)


def test_tls_1_2_has_forward_secrecy_only(world: World) -> None:
    """With TLS 1.2 the ciphers on offer are ECDHE with an AEAD, and nothing else."""
    below_1_3 = [cipher for cipher in world.server().get_ciphers() if cipher["protocol"] != "TLSv1.3"]
    assert below_1_3
    assert all(cipher["aead"] and cipher["name"].startswith("ECDHE-") for cipher in below_1_3)


def test_key_and_certificate_belong_together(world: World) -> None:
    """Mixed-up files are named when the context is made, before a port is opened."""
    with pytest.raises(KeyRejected) as refusal:
        server_context(world.hub.chain_path, world.node.key_path, b"secret", [world.own.root])
    assert refusal.value.code == "key-mismatch"


def test_a_wrong_passphrase_is_called_that(world: World) -> None:
    """OpenSSL would say `PEM lib`, or ask at the terminal."""
    for passphrase in (None, b"wrong"):
        with pytest.raises(KeyRejected) as refusal:
            client_context([world.own.root], world.node.chain_path, world.node.key_path, passphrase)
        assert refusal.value.code == "key-passphrase"


@pytest.mark.parametrize("der", [b"", b"no certificate"])
def test_what_is_no_certificate_belongs_to_no_connection(der: bytes) -> None:
    """A header that a proxy mangled names nobody."""
    assert connection_of(der) is None


def test_a_certificate_of_another_kind_belongs_to_no_connection(world: World) -> None:
    """Only client certificates carry a connection."""
    assert connection_of(world.hub.chain[0].public_bytes(Encoding.DER)) is None
    assert connection_of(world.own.root.public_bytes(Encoding.DER)) is None
