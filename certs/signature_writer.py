"""Making a signature of the profile, and putting it into bytes that otherwise stay as they are.

It is written as text (`certs.signature_text`), and what is signed is the text that is written. signxml builds a tree
for each signature and canonicalises it twice, which takes much longer (docs/adr/0011); in the tests it verifies what is
signed here, and so does libxmlsec.
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

from certs.canonical import canonical
from certs.keys import PrivateKey
from certs.sealing_key import SealingKey
from certs.signature_profile import SIGNING_TIME_FORM
from certs.signature_text import SignatureText, signed_info, signed_properties
from schemas.envelope import Sha256Hex
from schemas.xml import Element

#: A program signs with one key, or with a few: those of the connections that it serves.
_REMEMBERED_KEYS: Final = 16


def sign_enveloped(
    unsigned: bytes, parent: Element, key: SealingKey, signing_time: datetime
) -> tuple[bytes, Sha256Hex]:
    """`unsigned` with a signature as the last child of `parent`, and the digest of what it signs, in hex.

    `parent` is an element of the tree that `unsigned` was parsed into; its end tag stands in the bytes once. Every byte
    outside the signature stays as it was. ValueError for a naive `signing_time`.
    """
    digest = hashlib.sha256(canonical(parent.getroottree().getroot())).digest()
    return _signed_before(_end_tag(parent), unsigned, digest, key, signing_time)


def sign_canonical(unsigned: bytes, end_tag: bytes, key: SealingKey, signing_time: datetime) -> tuple[bytes, Sha256Hex]:
    """The same where `unsigned` is its own canonical form; the signature goes before `end_tag`, which stands once."""
    return _signed_before(end_tag, unsigned, hashlib.sha256(unsigned).digest(), key, signing_time)


def _signed_before(
    end_tag: bytes, unsigned: bytes, digest: bytes, key: SealingKey, signing_time: datetime
) -> tuple[bytes, Sha256Hex]:
    if signing_time.tzinfo is None:
        raise ValueError("a naive signing time names no instant: give it a time zone")
    head, found, tail = unsigned.rpartition(end_tag)
    if not found or end_tag in head:
        raise ValueError(f"the bytes to sign hold {end_tag!r} more or less than once")
    written = _signature(digest, key, signing_time.astimezone(UTC).strftime(SIGNING_TIME_FORM))
    return b"".join((head, written.encode(), end_tag, tail)), digest.hex()


def _end_tag(element: Element) -> bytes:
    name = etree.QName(element).localname
    return f"</{element.prefix}:{name}>".encode() if element.prefix else f"</{name}>".encode()


def _signature(content: bytes, key: SealingKey, signing_time: str) -> str:
    """The Signature, by `key`, of what has the digest `content`."""
    is_rsa = isinstance(key.private_key, rsa.RSAPrivateKey)
    method = (SignatureMethod.RSA_SHA256 if is_rsa else SignatureMethod.ECDSA_SHA256).value
    certificates, certificate = _certificates(key.certificates)
    of_content = _base64(content)
    of_properties = _base64(hashlib.sha256(signed_properties(signing_time, certificate).encode()).digest())
    value = _signed(signed_info(method, of_content, of_properties).encode(), key.private_key)
    return str(
        SignatureText(
            method=method,
            content=of_content,
            properties=of_properties,
            value=_base64(value),
            certificates=certificates,
            signing_time=signing_time,
            certificate=certificate,
        )
    )


@lru_cache(maxsize=_REMEMBERED_KEYS)
def _certificates(certificates: tuple[x509.Certificate, ...]) -> tuple[str, str]:
    """The elements that bring `certificates`, and the digest of the signer's, which stands first."""
    elements = "".join(f"<ds:X509Certificate>{_in_lines(each)}</ds:X509Certificate>" for each in certificates)
    return elements, _base64(certificates[0].fingerprint(hashes.SHA256()))


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
