"""The authority of our own: what it issues is right for one use, and OpenSSL agrees."""

from __future__ import annotations

import ipaddress
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from certs.authority import Authority, Lifetimes
from certs.certificate_profiles import Chain
from certs.errors import KeyRejected
from certs.keys import certificate_request, new_p256_key, new_rsa_key, parse_certificates, write_certificates
from certs.names import connection_named, hub_named
from schemas.codes import AgencyCode
from tests.vectors.workshop import AT, G22, Workshop


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an authority stands, its keys encrypted."""
    folder = tmp_path_factory.mktemp("certs") / "authority"
    Authority.create(folder, "Trục liên thông", now=AT, passphrase=b"secret")
    return folder


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority.open(folder, b"secret")


def openssl_accepts(chain: Chain, root: x509.Certificate, purpose: str, folder: Path) -> bool:
    """Whether `openssl verify`, strictly, takes the leaf for `purpose`."""
    for name, certificates in (("root", [root]), ("leaf", chain[:1]), ("above", chain[1:])):
        write_certificates(folder / f"{name}.pem", certificates)
    answer = subprocess.run(
        [
            "openssl",
            "verify",
            "-x509_strict",
            "-attime",
            str(int(AT.timestamp())),
            "-purpose",
            purpose,
            "-CAfile",
            str(folder / "root.pem"),
            "-untrusted",
            str(folder / "above.pem"),
            str(folder / "leaf.pem"),
        ],
        capture_output=True,
        check=False,
    )
    return answer.returncode == 0


def test_openssl_takes_each_certificate_for_its_own_purpose(authority: Authority, tmp_path: Path) -> None:
    """A second opinion on our certificates: strict checks pass, and each is good for its use alone."""
    key = new_p256_key().public_key()
    server, client = authority.issue_server(key, ["127.0.0.2"], AT), authority.issue_client(key, "c-1", AT)
    seal = authority.issue_seal(key, "c-1", [G22], AT)
    taken = {
        (name, purpose)
        for name, chain in (("server", server), ("client", client), ("seal", seal))
        for purpose in ("sslserver", "sslclient", "any")
        if openssl_accepts(chain, authority.root, purpose, tmp_path)
    }
    anything = {(name, "any") for name in ("server", "client", "seal")}
    assert taken == anything | {("server", "sslserver"), ("client", "sslclient")}


def test_an_authority_opened_again_goes_on_issuing(folder: Path, authority: Authority) -> None:
    """What a second process issues is under the same root."""
    again = Authority.open(folder, b"secret")
    assert again.root == authority.root
    assert again.issue_client(new_p256_key().public_key(), "c", AT)[1] == authority.tls.certificate


def test_issuing_does_not_need_the_root_key(folder: Path, authority: Authority, tmp_path: Path) -> None:
    """The root's key may be kept in a safe: without it the authority opens all the same."""
    for path in folder.iterdir():
        if path.name != "root.key":
            target = tmp_path / path.name
            target.touch(mode=path.stat().st_mode & 0o777)
            target.write_bytes(path.read_bytes())
    assert Authority.open(tmp_path, b"secret").root == authority.root


def test_an_authority_is_never_made_over_another(folder: Path) -> None:
    """A second `create` in the same folder is refused before anything is changed."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(KeyRejected) as refusal:
        Authority.create(folder, "Another", now=AT)
    assert refusal.value.code == "key-exists"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_mixed_up_files_are_named(folder: Path, tmp_path: Path) -> None:
    """A certificate beside another authority's key is refused when the authority is opened."""
    other = tmp_path / "other"
    Authority.create(other, "Other", now=AT)
    (other / "tls.pem").write_bytes((folder / "tls.pem").read_bytes())
    with pytest.raises(KeyRejected) as refusal:
        Authority.open(other)
    assert refusal.value.code == "key-mismatch"


def test_a_certificate_names_its_holder(authority: Authority) -> None:
    """Connections, hubs and agencies stand in SubjectAltName, whatever letters their names have."""
    key = new_p256_key().public_key()
    client = authority.issue_client(key, "kết nối/1", AT)[0]
    receipts = authority.issue_receipts(key, "Trục quốc gia", AT)[0]
    seal = authority.issue_seal(key, "c-1", [G22, AgencyCode("H23.12")], AT)[0]
    assert (connection_named(client), hub_named(client)) == ("kết nối/1", None)
    assert (connection_named(receipts), hub_named(receipts)) == (None, "Trục quốc gia")
    uris = seal.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert uris.get_values_for_type(x509.UniformResourceIdentifier) == [
        "urn:congvan:agency:G22",
        "urn:congvan:agency:H23.12",
    ]
    assert connection_named(seal) is None


def test_a_server_certificate_carries_names_and_addresses(authority: Authority) -> None:
    """What reads as an address is one, the rest are DNS names."""
    leaf = authority.issue_server(new_p256_key().public_key(), ["hub.example", "127.0.0.2", "::1"], AT)[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["hub.example"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.2"),
        ipaddress.ip_address("::1"),
    ]


def test_a_request_gives_its_key_and_nothing_else(authority: Authority) -> None:
    """What the asker wrote into the request, name and codes, decides nothing: the authority's arguments do."""
    key = new_rsa_key()
    request = certificate_request(key, "I am G22", [G22])
    leaf = authority.issue_seal(request, "c-7", [AgencyCode("H31")], AT)[0]
    assert leaf.public_key() == key.public_key()
    der = leaf.tbs_certificate_bytes
    assert b"urn:congvan:agency:H31" in der
    assert b"G22" not in der


def test_no_certificate_for_a_key_that_is_not_taken(authority: Authority) -> None:
    """The rule for keys holds at the authority, too."""
    with pytest.raises(KeyRejected) as refusal:
        authority.issue_seal(certificate_request(ec.generate_private_key(ec.SECP384R1()), "a", []), "c", [], AT)
    assert refusal.value.code == "key-curve"


def test_no_certificate_outlives_its_issuer(tmp_path: Path) -> None:
    """A leaf is cut to the life of the authority that issues it, and that to the root's."""
    lifetimes = Lifetimes(root=timedelta(days=10), issuing=timedelta(days=20), seal=timedelta(days=30))
    authority = Authority.create(tmp_path / "a", "Short", now=AT, lifetimes=lifetimes)
    leaf = authority.issue_seal(new_p256_key().public_key(), "c", [], AT)[0]
    assert leaf.not_valid_after_utc == authority.root.not_valid_after_utc == AT + timedelta(days=10)


def test_a_certificate_is_valid_for_a_peer_whose_clock_is_behind(authority: Authority) -> None:
    """It begins a little before its making."""
    leaf = authority.issue_client(new_p256_key().public_key(), "c", AT)[0]
    assert leaf.not_valid_before_utc == AT - timedelta(days=1)


def test_no_authority_can_be_put_below_those_that_issue(authority: Authority) -> None:
    """The root allows one layer below it, and each of that layer allows none."""
    lengths = [
        certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
        for certificate in (authority.root, authority.tls.certificate, authority.seals.certificate)
    ]
    assert lengths == [1, 0, 0]


def test_serial_numbers_are_random(authority: Authority) -> None:
    """Two certificates of the same content differ in 64 bits of chance at least (CA/B Baseline Requirements, 7.1)."""
    key = new_p256_key().public_key()
    serials = {authority.issue_client(key, "c", AT)[0].serial_number for _ in range(20)}
    assert len(serials) == 20
    assert min(serials).bit_length() > 64


def test_a_long_name_keeps_the_authorities_apart(tmp_path: Path) -> None:
    """A name longer than a common name may be is cut, but root, TLS and seals keep different names."""
    authority = Authority.create(tmp_path / "a", "Bộ Thông tin và Truyền thông " * 4, now=AT)
    subjects = {certificate.subject for certificate in parse_certificates(authority.chain_pem)}
    assert len(subjects) == 3


def test_an_authority_shows_no_key(authority: Authority, workshop: Workshop) -> None:
    """The repr of an authority, which may land in a log, holds no private key."""
    assert "Private" not in repr(authority)
    assert "Private" not in repr(workshop.national.seals)
