"""Making a signature of the profile, and putting it into bytes that otherwise stay as they are.

Like envelopes and receipts, a signature is written as text that is exclusive C14N already: nothing in its form varies
but digests, values and certificates in base64, the signing time, and the name of an algorithm. What is signed is the
text that is written. signxml builds a tree for each signature and canonicalises it twice, which takes much longer
(docs/adr/0011); in the tests it verifies what is signed here, and so does libxmlsec.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from signxml.algorithms import SignatureMethod

from certs.keys import PrivateKey
from certs.sealing_key import SealingKey
from certs.signature_check import canonical
from certs.signature_profile import (
    CONTENT_REFERENCE_ID,
    ENVELOPED,
    EXCLUSIVE_C14N,
    MEDIA_TYPE,
    PROPERTIES_ID,
    PROPERTIES_TYPE,
    SHA256,
    SIGNATURE_ID,
    SIGNING_TIME_FORM,
    XADES,
)
from schemas.envelope import Sha256Hex
from schemas.namespaces import DS
from schemas.xml import Element

_DS: Final = f' xmlns:ds="{DS}"'
_XADES: Final = f' xmlns:xades="{XADES}"'

#: A program signs with one key, or with a few: those of the connections that it serves.
_REMEMBERED_KEYS: Final = 16


def sign_enveloped(
    unsigned: bytes, parent: Element, key: SealingKey, signing_time: datetime
) -> tuple[bytes, Sha256Hex]:
    """`unsigned` with a signature as the last child of `parent`, and the digest of what it signs, in hex.

    `parent` is an element of the tree that `unsigned` was parsed into; its end tag stands in the bytes once. Every byte
    outside the signature stays as it was. ValueError for a naive `signing_time`.
    """
    if signing_time.tzinfo is None:
        raise ValueError("a naive signing time names no instant: give it a time zone")
    end_tag = _end_tag(parent)
    head, found, tail = unsigned.rpartition(end_tag)
    if not found or end_tag in head:
        raise ValueError(f"the bytes to sign hold {end_tag!r} more or less than once")
    digest = hashlib.sha256(canonical(parent.getroottree().getroot())).digest()
    written = _signature(digest, key, signing_time.astimezone(UTC).strftime(SIGNING_TIME_FORM))
    return b"".join((head, written.encode(), end_tag, tail)), digest.hex()


def _end_tag(element: Element) -> bytes:
    name = etree.QName(element).localname
    return f"</{element.prefix}:{name}>".encode() if element.prefix else f"</{name}>".encode()


def _signature(content: bytes, key: SealingKey, signing_time: str) -> str:
    """The Signature, by `key`, of what has the digest `content`."""
    certificate = key.certificate.fingerprint(hashes.SHA256())
    # Canonical by itself, an element declares the namespaces that are declared further out in the Signature.
    properties = _properties(signing_time, certificate, ds=_DS, xades=_XADES)
    references = _reference(f'Id="{CONTENT_REFERENCE_ID}" URI=""', (ENVELOPED, EXCLUSIVE_C14N.value), content)
    references += _reference(
        f'Type="{PROPERTIES_TYPE}" URI="#{PROPERTIES_ID}"',
        (EXCLUSIVE_C14N.value,),
        hashlib.sha256(properties.encode()).digest(),
    )
    value = _signed(_signed_info(key.private_key, references, ds=_DS).encode(), key.private_key)
    return (
        f'<ds:Signature{_DS} Id="{SIGNATURE_ID}">'
        f"{_signed_info(key.private_key, references)}"
        f"<ds:SignatureValue>{_base64(value)}</ds:SignatureValue>"
        f"{_key_info(key.certificates)}"
        f'<ds:Object><xades:QualifyingProperties{_XADES} Target="#{SIGNATURE_ID}">'
        f"{_properties(signing_time, certificate)}"
        "</xades:QualifyingProperties></ds:Object></ds:Signature>"
    )


def _signed_info(key: PrivateKey, references: str, *, ds: str = "") -> str:
    method = SignatureMethod.RSA_SHA256 if isinstance(key, rsa.RSAPrivateKey) else SignatureMethod.ECDSA_SHA256
    algorithms = _algorithm("CanonicalizationMethod", EXCLUSIVE_C14N.value) + _algorithm(
        "SignatureMethod", method.value
    )
    return f"<ds:SignedInfo{ds}>{algorithms}{references}</ds:SignedInfo>"


def _reference(attributes: str, transforms: tuple[str, ...], digest: bytes) -> str:
    steps = "".join(_algorithm("Transform", transform) for transform in transforms)
    return f"<ds:Reference {attributes}><ds:Transforms>{steps}</ds:Transforms>{_digest(digest)}</ds:Reference>"


def _properties(signing_time: str, certificate: bytes, *, ds: str = "", xades: str = "") -> str:
    return (
        f'<xades:SignedProperties{xades} Id="{PROPERTIES_ID}"><xades:SignedSignatureProperties>'
        f"<xades:SigningTime>{signing_time}</xades:SigningTime>"
        f"<xades:SigningCertificateV2><xades:Cert><xades:CertDigest>{_digest(certificate, ds=ds)}"
        "</xades:CertDigest></xades:Cert></xades:SigningCertificateV2>"
        "</xades:SignedSignatureProperties><xades:SignedDataObjectProperties>"
        f'<xades:DataObjectFormat ObjectReference="#{CONTENT_REFERENCE_ID}">'
        f"<xades:MimeType>{MEDIA_TYPE}</xades:MimeType></xades:DataObjectFormat>"
        "</xades:SignedDataObjectProperties></xades:SignedProperties>"
    )


def _digest(digest: bytes, *, ds: str = "") -> str:
    return f"{_algorithm('DigestMethod', SHA256.value, ds=ds)}<ds:DigestValue{ds}>{_base64(digest)}</ds:DigestValue>"


def _algorithm(name: str, algorithm: str, *, ds: str = "") -> str:
    return f'<ds:{name}{ds} Algorithm="{algorithm}"></ds:{name}>'


@lru_cache(maxsize=_REMEMBERED_KEYS)
def _key_info(certificates: tuple[x509.Certificate, ...]) -> str:
    written = "".join(f"<ds:X509Certificate>{_in_lines(each)}</ds:X509Certificate>" for each in certificates)
    return f"<ds:KeyInfo><ds:X509Data>{written}</ds:X509Data></ds:KeyInfo>"


def _in_lines(certificate: x509.Certificate) -> str:
    """The certificate in base64, in lines as PEM has them, which is how every seal so far was written."""
    _, _, rest = certificate.public_bytes(Encoding.PEM).decode().partition("-----\n")
    return rest.partition("-----")[0]


def _signed(octets: bytes, key: PrivateKey) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(octets, padding.PKCS1v15(), hashes.SHA256())
    # XML-DSig writes r and s, each as long as the order of the curve (xmldsig-core1, 6.4.3).
    length = key.curve.key_size // 8
    return b"".join(part.to_bytes(length) for part in decode_dss_signature(key.sign(octets, ec.ECDSA(hashes.SHA256()))))


def _base64(octets: bytes) -> str:
    return b64encode(octets).decode()
