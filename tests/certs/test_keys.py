"""Keys and certificates in files, and the requests that ask for certificates."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from certs.errors import KeyRejected
from certs.keys import (
    PrivateKey,
    certificate_request,
    fingerprint,
    new_p256_key,
    new_rsa_key,
    parse_certificate,
    read_certificates,
    read_key,
    read_request,
    write_certificates,
    write_key,
)
from schemas.codes import AgencyCode
from schemas.errors import Rejected
from tests.vectors.workshop import Workshop


@pytest.mark.parametrize("passphrase", [None, "mật khẩu".encode()])
@pytest.mark.parametrize("key", [new_rsa_key(), new_p256_key()], ids=["rsa", "p-256"])
def test_a_key_comes_back_from_its_file(tmp_path: Path, key: PrivateKey, passphrase: bytes | None) -> None:
    """Plain or encrypted, the key that is read is the key that was written."""
    write_key(tmp_path / "a.key", key, passphrase)
    assert read_key(tmp_path / "a.key", passphrase).private_numbers() == key.private_numbers()


def test_a_key_file_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    """The file is 0600 even where new files are open to all."""
    before = os.umask(0)
    try:
        write_key(tmp_path / "a.key", new_p256_key(), None)
    finally:
        os.umask(before)
    assert (tmp_path / "a.key").stat().st_mode & 0o777 == 0o600


def test_a_key_is_encrypted_on_disk(tmp_path: Path) -> None:
    """With a passphrase the file holds no key that anybody else could read."""
    write_key(tmp_path / "a.key", new_p256_key(), b"secret")
    assert b"ENCRYPTED PRIVATE KEY" in (tmp_path / "a.key").read_bytes()


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    """A second key at the same path is refused, and the first is still there."""
    first = new_p256_key()
    write_key(tmp_path / "a.key", first, None)
    with pytest.raises(KeyRejected) as refusal:
        write_key(tmp_path / "a.key", new_p256_key(), None)
    assert refusal.value.code == "key-exists"
    assert read_key(tmp_path / "a.key", None).private_numbers() == first.private_numbers()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    """Any right of group or others refuses the key, and the mend is the command that takes it away."""
    path = tmp_path / "a.key"
    write_key(path, new_p256_key(), None)
    path.chmod(mode)
    with pytest.raises(KeyRejected) as refusal:
        read_key(path, None)
    assert refusal.value.code == "key-permissions"
    assert f"chmod 600 {path}" in (refusal.value.mend or "")


@pytest.mark.parametrize("given", [None, b"", b"wrong"])
def test_a_wrong_passphrase_is_called_that(tmp_path: Path, given: bytes | None) -> None:
    """A missing or wrong passphrase is told from a damaged file."""
    write_key(tmp_path / "a.key", new_p256_key(), b"right")
    with pytest.raises(KeyRejected) as refusal:
        read_key(tmp_path / "a.key", given)
    assert refusal.value.code == "key-passphrase"


def test_a_needless_passphrase_does_no_harm(tmp_path: Path) -> None:
    """A key in the clear opens although a passphrase is configured."""
    key = new_p256_key()
    write_key(tmp_path / "a.key", key, None)
    assert read_key(tmp_path / "a.key", b"needless").private_numbers() == key.private_numbers()


def test_what_is_no_key_is_called_that(tmp_path: Path) -> None:
    """A certificate in the key's place, or nothing, is named with its file."""
    path = tmp_path / "a.key"
    path.write_text("-----BEGIN CERTIFICATE-----\n")
    path.chmod(0o600)
    with pytest.raises(KeyRejected) as refusal:
        read_key(path, None)
    assert refusal.value.code == "key-unreadable"
    with pytest.raises(Rejected) as missing:
        read_key(tmp_path / "none.key", None)
    assert missing.value.code == "file-missing"


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (rsa.generate_private_key(65537, 1024), "key-weak"),
        (ec.generate_private_key(ec.SECP384R1()), "key-curve"),
        (ec.generate_private_key(ec.SECP256K1()), "key-curve"),
        (ed25519.Ed25519PrivateKey.generate(), "key-kind"),
    ],
    ids=["rsa-1024", "p-384", "secp256k1", "ed25519"],
)
def test_a_key_that_is_not_taken_is_refused_with_its_reason(
    tmp_path: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, code: str
) -> None:
    """Short RSA keys, other curves and other kinds are refused when the file is read, not when a peer sees the seal."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "a.key").touch(mode=0o600)
    (tmp_path / "a.key").write_bytes(pem)
    with pytest.raises(KeyRejected) as refusal:
        read_key(tmp_path / "a.key", None)
    assert refusal.value.code == code


def test_no_weak_key_is_made() -> None:
    """A caller who asks for 1024 bits is refused."""
    with pytest.raises(KeyRejected) as refusal:
        new_rsa_key(1024)
    assert refusal.value.code == "key-weak"


def test_certificates_come_back_in_their_order(workshop: Workshop, tmp_path: Path) -> None:
    """A chain file keeps leaf first."""
    chain = (*workshop.g22.certificates, workshop.national.root)
    write_certificates(tmp_path / "chain.pem", chain)
    assert read_certificates(tmp_path / "chain.pem") == chain


@pytest.mark.parametrize("content", ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_without_certificates_is_named(tmp_path: Path, content: str) -> None:
    """Nothing in PEM, or damage, is refused with the file's name."""
    (tmp_path / "chain.pem").write_text(content)
    with pytest.raises(KeyRejected) as refusal:
        read_certificates(tmp_path / "chain.pem")
    assert refusal.value.code == "key-certificate"
    assert "chain.pem" in str(refusal.value)


def test_a_damaged_certificate_is_refused_and_never_crashes(workshop: Workshop) -> None:
    """Whichever byte of a certificate is damaged, parsing gives a certificate or a refusal."""
    der = workshop.g22.certificate.public_bytes(serialization.Encoding.DER)
    refused = 0
    for place in range(len(der)):
        damaged = bytearray(der)
        damaged[place] ^= 0x15
        try:
            parse_certificate(bytes(damaged))
        except KeyRejected as refusal:
            assert refusal.code == "key-certificate"  # noqa: PT017 - not every byte's damage shows
            refused += 1
    assert refused > 100


def test_a_fingerprint_is_the_digest_that_other_tools_show(workshop: Workshop) -> None:
    """SHA-256 over the DER, in lower-case hex, as `openssl x509 -fingerprint -sha256` has it."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(workshop.g22.certificate.public_bytes(serialization.Encoding.DER))
    assert fingerprint(workshop.g22.certificate) == digest.finalize().hex()


def test_a_request_carries_the_key_and_the_codes() -> None:
    """What a node asks for can be read from its request."""
    key = new_p256_key()
    request = read_request(certificate_request(key, "Sở Nội vụ", [AgencyCode("H23"), AgencyCode("H23.12")]))
    assert request.public_key() == key.public_key()
    assert b"urn:congvan:agency:H23.12" in request.public_bytes(serialization.Encoding.DER)


def test_a_request_of_a_long_name_is_made() -> None:
    """A name longer than a common name may be does not stop an agency from enrolling."""
    request = read_request(certificate_request(new_p256_key(), "Ủy ban nhân dân " * 10, []))
    assert request.subject.rfc4514_string().startswith("CN=Ủy ban nhân dân Ủy ban")


def test_a_request_signed_by_another_key_is_refused() -> None:
    """Nobody gets a certificate for a key that he does not hold."""
    genuine = read_request(certificate_request(new_p256_key(), "a", [])).public_bytes(serialization.Encoding.DER)
    other = read_request(certificate_request(new_p256_key(), "a", [])).public_bytes(serialization.Encoding.DER)
    forged = genuine.replace(_key_bits(genuine), _key_bits(other))
    with pytest.raises(KeyRejected) as refusal:
        read_request(_pem(forged))
    assert refusal.value.code == "key-request-signature"


def test_a_request_for_a_weak_key_is_refused() -> None:
    """The rule for keys holds for those of others too."""
    with pytest.raises(KeyRejected) as refusal:
        read_request(certificate_request(rsa.generate_private_key(65537, 1024), "a", []))
    assert refusal.value.code == "key-weak"


def test_what_is_no_request_is_called_that() -> None:
    """Bytes that are no request are refused, not raised through."""
    with pytest.raises(KeyRejected) as refusal:
        read_request(b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")
    assert refusal.value.code == "key-request"


def _key_bits(request_der: bytes) -> bytes:
    """The uncompressed point in a request: 65 bytes that begin with 04, after the BIT STRING's header."""
    place = request_der.index(bytes.fromhex("03420004"))
    return request_der[place : place + 68]


def _pem(der: bytes) -> bytes:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n".encode()
