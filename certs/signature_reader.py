"""Opening a signature of the profile: nothing is believed that the form does not require and the key did not sign."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from signxml.algorithms import SignatureMethod

from certs.errors import KeyRejected, SignatureFaults
from certs.keys import PublicKey, accepted_public_key, parse_certificate
from certs.signature_check import is_signed, signed_content
from certs.signature_form import located_signature
from certs.signature_profile import MAXIMUM_CERTIFICATES, SIGNING_TIME_FORM, ds, xades
from certs.signature_values import SignatureValues, signature_values, written_values
from schemas.envelope import Sha256Hex
from schemas.xml import Element

#: The same few signers come with thousands of messages; they are remembered with what they bring, if that is short.
_REMEMBERED_SIGNERS: Final = 1024
_REMEMBERED_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class OpenedSignature:
    """What a signature covers and who made it, before anybody asked whether the signer is to be trusted.

    `content` is the canonical form whose digest was signed, and `digest` that digest: whatever is read of what was
    signed is read from these bytes. `fingerprint` is the SHA-256 of the `signer`; `intermediates` are the other
    certificates that came along, in any order.
    """

    content: bytes = field(repr=False)
    digest: Sha256Hex
    signer: x509.Certificate
    fingerprint: Sha256Hex
    intermediates: tuple[x509.Certificate, ...]
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class _Signer:
    """The certificate that was signed as the signer's, and what came along with it. `key` fits the algorithm."""

    certificate: x509.Certificate
    fingerprint: Sha256Hex
    intermediates: tuple[x509.Certificate, ...]
    key: PublicKey


class _NoSignerError(Exception):
    """Why no signer can be told. `tag` is the element at fault, the one at `place` among those of that name."""

    def __init__(self, rule: str, message: str, tag: str, place: int = 0) -> None:
        super().__init__(message)
        self.rule, self.message, self.tag, self.place = rule, message, tag, place


def open_signature(root: Element, parents: tuple[str, ...], faults: SignatureFaults) -> OpenedSignature:
    """Verify the one signature in `root`, the last child of the element to which the tags `parents` lead from the root.

    `root` comes from the hardened parser, which lets no DTD, comment or processing instruction through. Raises what
    `faults` makes.
    """
    # 1. One signature, in its place, of the form of the profile, with its algorithms and references.
    signature = located_signature(root, parents, faults)
    values = signature_values(signature, faults)
    # 2. The certificate that the signature itself says is the signer's, with a key that is taken.
    signer = _signer(values, signature, faults)
    # 3. The signature over SignedInfo, then the digests of both references.
    content = signed_content(root, signature, values, signer.key, faults)
    # 4. From here on only what was signed is read: the content by its canonical form, and of the properties, which
    #    the second reference covers, the one element that the form has there.
    return _opened(content, values, signer, _signing_time(values.signing_time, signature, faults))


def known_signature(signature: bytes, content: bytes) -> OpenedSignature | None:
    """The same where `signature` and the `content` that it is to cover are known by their texts, canonical forms both.

    None if the Signature is not to the byte as we write it, or does not hold: `open_signature` says what is wrong.
    """
    values = written_values(signature)
    if values is None:
        return None
    try:
        signer, signed_at = _signer_in(values), _instant(values.signing_time)
    except (_NoSignerError, ValueError):
        return None
    return _opened(content, values, signer, signed_at) if is_signed(content, values, signer.key) else None


def _opened(content: bytes, values: SignatureValues, signer: _Signer, signed_at: datetime) -> OpenedSignature:
    return OpenedSignature(
        content=content,
        digest=values.content.hex(),
        signer=signer.certificate,
        fingerprint=signer.fingerprint,
        intermediates=signer.intermediates,
        signed_at=signed_at,
    )


def _signer_in(values: SignatureValues) -> _Signer:
    is_short = sum(map(len, values.certificates)) <= _REMEMBERED_BYTES
    find = _found_signer if is_short else _found_signer.__wrapped__
    return find(values.certificates, values.certificate, values.method)


def _signer(values: SignatureValues, signature: Element, faults: SignatureFaults) -> _Signer:
    try:
        return _signer_in(values)
    except _NoSignerError as error:
        at = next(islice(signature.iter(error.tag), error.place, None))
        raise faults(error.rule, error.message, at) from error.__cause__


@lru_cache(maxsize=_REMEMBERED_SIGNERS)
def _found_signer(written: tuple[bytes, ...], digest: bytes, method: str) -> _Signer:
    """The signer, by what a signature says, and nothing else: what is remembered stays true. Raises _NoSignerError."""
    if len(written) > MAXIMUM_CERTIFICATES:
        raise _NoSignerError(
            "key-info",
            f"KeyInfo brings {len(written)} certificates; {MAXIMUM_CERTIFICATES} are taken.",
            ds("X509Certificate"),
        )
    certificates = tuple(_certificate(der, place) for place, der in enumerate(written))
    # Wherever in KeyInfo, it is the one whose digest SigningCertificateV2 names (ETSI EN 319 132-1, 5.2.2).
    named = (certificate for certificate in certificates if certificate.fingerprint(hashes.SHA256()) == digest)
    signer = next(named, None)
    if signer is None:
        raise _NoSignerError(
            "key-info", "KeyInfo does not bring the certificate that was signed as the signer's.", xades("CertDigest")
        )
    return _Signer(
        certificate=signer,
        fingerprint=digest.hex(),
        intermediates=tuple(certificate for certificate in certificates if certificate != signer),
        key=_key(signer, method),
    )


def _certificate(der: bytes, place: int) -> x509.Certificate:
    try:
        return parse_certificate(der)
    except KeyRejected as error:
        message = "An X509Certificate does not hold a certificate in DER."
        raise _NoSignerError("key-info", message, ds("X509Certificate"), place) from error


def _key(signer: x509.Certificate, method: str) -> PublicKey:
    """The signer's key, if it is taken, and of the kind that the signature's algorithm is for."""
    try:
        key = accepted_public_key(signer.public_key())
    except (KeyRejected, ValueError, UnsupportedAlgorithm) as error:
        raise _NoSignerError("key", f"The signer's key is not taken: {error}", ds("SignatureMethod")) from error
    fitting = SignatureMethod.RSA_SHA256 if isinstance(key, rsa.RSAPublicKey) else SignatureMethod.ECDSA_SHA256
    if method != fitting.value:
        raise _NoSignerError("key", "The signature's algorithm is not one for the signer's key.", ds("SignatureMethod"))
    return key


def _signing_time(text: str, signature: Element, faults: SignatureFaults) -> datetime:
    try:
        return _instant(text)
    except ValueError as error:
        element = next(signature.iter(xades("SigningTime")))
        raise faults("form", f"SigningTime {text!r} is no UTC instant like 2026-11-21T08:30:00Z.", element) from error


def _instant(text: str) -> datetime:
    # It takes many forms of ISO 8601; an instant has one spelling here.
    instant = datetime.fromisoformat(text)
    if instant.utcoffset() != timedelta() or instant.strftime(SIGNING_TIME_FORM) != text:
        raise ValueError("it is not written like 2026-11-21T08:30:00Z")
    return instant
