"""Opening a signature of the profile: nothing is believed that the form does not require and the key did not sign."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from signxml.algorithms import SignatureMethod

from certs.errors import KeyRejected, SignatureFaults
from certs.keys import PublicKey, accepted_public_key, parse_certificate
from certs.signature_check import signed_content
from certs.signature_form import check_form, decoded, located_signature
from certs.signature_profile import MAXIMUM_CERTIFICATES, SIGNING_TIME_FORM, ds, xades
from schemas.envelope import Sha256Hex
from schemas.xml import Element, parse_canonical


@dataclass(frozen=True, slots=True)
class OpenedSignature:
    """What a signature covers and who made it, before anybody asked whether the signer is to be trusted.

    `signed_xml` is parsed from the very bytes whose digest was signed; `digest` is that digest. `intermediates` are the
    other certificates that came along, in any order.
    """

    signed_xml: Element = field(repr=False)
    digest: Sha256Hex
    signer: x509.Certificate
    intermediates: tuple[x509.Certificate, ...]
    signed_at: datetime


def open_signature(root: Element, parents: tuple[str, ...], faults: SignatureFaults) -> OpenedSignature:
    """Verify the one signature in `root`, the last child of the element to which the tags `parents` lead from the root.

    `root` comes from the hardened parser, which lets no DTD, comment or processing instruction through. Raises what
    `faults` makes.
    """
    # 1. One signature, in its place, of the form of the profile, with its algorithms and references.
    signature = located_signature(root, parents, faults)
    check_form(signature, faults)
    # 2. The certificate that the signature itself says is the signer's, with a key that is taken.
    certificates = _certificates(signature, faults)
    signer = _signer(certificates, signature, faults)
    key = _key(signer, signature, faults)
    # 3. The signature over SignedInfo, then the digests of both references.
    content = signed_content(root, signature, key, faults)
    # 4. From here on only what was signed is read: the content from its canonical form, and of the properties, which
    #    the second reference covers, the one element that the form has there.
    return OpenedSignature(
        signed_xml=parse_canonical(content),
        digest=hashlib.sha256(content).hexdigest(),
        signer=signer,
        intermediates=tuple(certificate for certificate in certificates if certificate != signer),
        signed_at=_signing_time(signature, faults),
    )


def _certificates(signature: Element, faults: SignatureFaults) -> tuple[x509.Certificate, ...]:
    written = list(signature.iter(ds("X509Certificate")))
    if len(written) > MAXIMUM_CERTIFICATES:
        raise faults(
            "key-info", f"KeyInfo brings {len(written)} certificates; {MAXIMUM_CERTIFICATES} are taken.", written[0]
        )
    certificates = []
    for element in written:
        try:
            certificates.append(parse_certificate(decoded(element)))
        except KeyRejected as error:
            raise faults("key-info", "An X509Certificate does not hold a certificate in DER.", element) from error
    return tuple(certificates)


def _signer(
    certificates: tuple[x509.Certificate, ...], signature: Element, faults: SignatureFaults
) -> x509.Certificate:
    """The certificate, wherever in KeyInfo, whose digest SigningCertificateV2 names (ETSI EN 319 132-1, 5.2.2)."""
    named = next(signature.iter(xades("CertDigest")))
    digest = decoded(named[1])
    for certificate in certificates:
        if certificate.fingerprint(hashes.SHA256()) == digest:
            return certificate
    raise faults("key-info", "KeyInfo does not bring the certificate that was signed as the signer's.", named)


def _key(signer: x509.Certificate, signature: Element, faults: SignatureFaults) -> PublicKey:
    """The signer's key, if it is taken, and of the kind that the signature's algorithm is for."""
    method = signature[0][1]
    try:
        key = accepted_public_key(signer.public_key())
    except (KeyRejected, ValueError, UnsupportedAlgorithm) as error:
        raise faults("key", f"The signer's key is not taken: {error}", method) from error
    fitting = SignatureMethod.RSA_SHA256 if isinstance(key, rsa.RSAPublicKey) else SignatureMethod.ECDSA_SHA256
    if method.get("Algorithm") != fitting.value:
        raise faults("key", "The signature's algorithm is not one for the signer's key.", method)
    return key


def _signing_time(signature: Element, faults: SignatureFaults) -> datetime:
    element = next(signature.iter(xades("SigningTime")))
    text = element.text or ""
    try:
        instant = datetime.strptime(text, SIGNING_TIME_FORM).replace(tzinfo=UTC)
        if instant.strftime(SIGNING_TIME_FORM) != text:
            raise ValueError("an instant has one spelling")
    except ValueError as error:
        raise faults("form", f"SigningTime {text!r} is no UTC instant like 2026-11-21T08:30:00Z.", element) from error
    return instant
