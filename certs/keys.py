"""Private keys, certificates and certificate requests, in memory and in files.

Two kinds of key are taken, everywhere: RSA of 2048 bits and up, and P-256. Keys are PKCS #8 in PEM, certificates PEM.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from certs.errors import KeyRejected
from certs.names import agency_uri, common_name
from runtime.files import PRIVATE, others_reach, storage_errors, write_file
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

#: NIST SP 800-57 Part 1, table 2: 2048 bits are the least that 112 bits of strength ask for.
MINIMUM_RSA_BITS = 2048
#: A key far larger than any in use makes each verification slow: a seal must not be an attack on the processor.
MAXIMUM_RSA_BITS = 8192

#: A certificate is world-readable; what names no secret needs no 0600.
READABLE = 0o644

_LAZILY_PARSED = ("version", "subject", "issuer", "not_valid_before_utc", "not_valid_after_utc", "extensions")
#: The same few certificates come with thousands of messages.
_REMEMBERED_CERTIFICATES = 1024


def new_rsa_key(bits: int = MINIMUM_RSA_BITS) -> rsa.RSAPrivateKey:
    """A fresh RSA key; KeyRejected (`key-weak`) under 2048 bits."""
    if bits < MINIMUM_RSA_BITS:
        raise _weak(bits)
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def new_p256_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def write_key(path: Path, key: PrivateKey, passphrase: bytes | None) -> None:
    """Put `key` at `path`, durable, 0600 from its first byte on, encrypted if there is a passphrase.

    A file that stands there is never overwritten (`key-exists`): a lost key cannot be had again.
    """
    if path.exists():
        raise KeyRejected(
            "key-exists", f"{path}: a key stands here already.", mend="Move it away, or choose another path."
        )
    protection: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)
    write_file(path, pem, mode=PRIVATE)


def read_key(path: Path, passphrase: bytes | None) -> PrivateKey:
    """The private key in `path`.

    Raises KeyRejected: `key-permissions` if others can reach the file, `key-passphrase` if the passphrase is missing or
    wrong, `key-unreadable` if it is no key, `key-weak`, `key-curve` and `key-kind` for keys that are not taken; and
    Rejected (`file-missing`).
    """
    with storage_errors(path):
        status = path.stat()
        if others_reach(status):
            raise KeyRejected(
                "key-permissions",
                f"{path}: others than its owner can reach this private key (mode {stat.S_IMODE(status.st_mode):04o}).",
                mend=f"Run: chmod 600 {path}; if others may have read it, replace the key.",
            )
        pem = path.read_bytes()
    return accepted_private_key(_decrypted(pem, passphrase, path))


def _decrypted(pem: bytes, passphrase: bytes | None, path: Path) -> PrivateKeyTypes:
    is_encrypted = b"ENCRYPTED" in pem
    if is_encrypted and not passphrase:
        raise KeyRejected(
            "key-passphrase", f"{path}: the key is encrypted and no passphrase was given.", mend="Give its passphrase."
        )
    try:
        return serialization.load_pem_private_key(pem, passphrase if is_encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if is_encrypted:
            raise KeyRejected(
                "key-passphrase",
                f"{path}: the passphrase does not open this key.",
                mend="Check the passphrase; if it is right, restore the file from a backup.",
            ) from error
        raise KeyRejected(
            "key-unreadable", f"{path}: this is no private key in PEM.", mend="Give a PKCS #8 key in PEM."
        ) from error


def accepted_private_key(key: PrivateKeyTypes) -> PrivateKey:
    """`key` itself if it is of a kind that is taken; else KeyRejected."""
    accepted_public_key(key.public_key())
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)  # noqa: S101 - tells mypy what the line above saw
    return key


def accepted_public_key(key: PublicKeyTypes) -> PublicKey:
    """`key` itself if it is RSA of 2048 to 8192 bits or P-256.

    Raises KeyRejected: `key-weak`, `key-curve`, `key-kind`.
    """
    if isinstance(key, rsa.RSAPublicKey):
        if not MINIMUM_RSA_BITS <= key.key_size <= MAXIMUM_RSA_BITS:
            raise _weak(key.key_size)
        return key
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1):
            raise KeyRejected(
                "key-curve",
                f"The curve {key.curve.name} is not taken.",
                mend="Use P-256 (secp256r1), or RSA of 2048 bits.",
            )
        return key
    raise KeyRejected(
        "key-kind",
        f"A key of the kind {type(key).__name__} is not taken.",
        mend="Use RSA of 2048 bits and up, or P-256.",
    )


def _weak(bits: int) -> KeyRejected:
    return KeyRejected(
        "key-weak",
        f"An RSA key of {bits} bits is outside {MINIMUM_RSA_BITS} to {MAXIMUM_RSA_BITS}.",
        mend="Make a new key of 2048 or 3072 bits, or on P-256.",
    )


def fingerprint(certificate: x509.Certificate) -> Sha256Hex:
    """SHA-256 of the certificate's DER, in hex: how the directory and the logs name it."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def certificate_request(key: PrivateKey, name: str, codes: Sequence[AgencyCode]) -> bytes:
    """A PKCS #10 request in PEM, which shows that its sender holds `key`; `codes` are what it asks to speak for."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name(name))
    if codes:
        uris = [x509.UniformResourceIdentifier(agency_uri(code)) for code in codes]
        builder = builder.add_extension(x509.SubjectAlternativeName(uris), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def read_request(pem: bytes) -> x509.CertificateSigningRequest:
    """The request in `pem`, its own signature checked and its key of a kind that is taken; else KeyRejected."""
    try:
        request = x509.load_pem_x509_csr(pem)
        is_signed = request.is_signature_valid
        key = request.public_key()
    except Exception as error:  # hostile bytes: see parse_certificate
        raise KeyRejected(
            "key-request", "This is no certificate request in PEM.", mend="Send a PKCS #10 request."
        ) from error
    if not is_signed:
        raise KeyRejected(
            "key-request-signature",
            "The certificate request is not signed by the key that it names.",
            mend="Make the request anew with the private key.",
        )
    accepted_public_key(key)
    return request


def certificates_pem(certificates: Sequence[x509.Certificate]) -> bytes:
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def parse_certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates in `pem`, in its order; KeyRejected (`key-certificate`) if there is none or one is damaged."""
    try:
        loaded = x509.load_pem_x509_certificates(pem)
    except (ValueError, x509.InvalidVersion) as error:
        raise _no_certificate("This holds no certificate in PEM.") from error
    return tuple(parse_certificate(certificate.public_bytes(serialization.Encoding.DER)) for certificate in loaded)


@lru_cache(maxsize=_REMEMBERED_CERTIFICATES)
def parse_certificate(der: bytes) -> x509.Certificate:
    """The certificate in `der`; KeyRejected (`key-certificate`) if any part of it is malformed.

    `cryptography` parses names, times and extensions when they are first asked for, and raises then; here they are
    asked for at once, so that nobody after this meets the exceptions of a parser.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        for part in _LAZILY_PARSED:
            getattr(certificate, part)
    except Exception as error:  # for hostile bytes it raises more than it documents: TypeError, classes of its own
        raise _no_certificate("This is no certificate in DER.") from error
    return certificate


def _no_certificate(message: str) -> KeyRejected:
    return KeyRejected("key-certificate", message, mend="Give X.509 certificates as the authority issued them.")


def write_certificates(path: Path, certificates: Sequence[x509.Certificate]) -> None:
    """Put a chain (leaf first) or a set of anchors at `path`, durable, readable by all."""
    write_file(path, certificates_pem(certificates), mode=READABLE)


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """The certificates in the file, in its order; KeyRejected (`key-certificate`) or `file-missing`."""
    with storage_errors(path):
        pem = path.read_bytes()
    try:
        return parse_certificates(pem)
    except KeyRejected as error:
        raise error.located(str(path)) from error.__cause__
