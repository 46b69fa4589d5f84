"""Does the signature hold? The value over SignedInfo, then the two digests that SignedInfo carries, and nothing else.

For a Signature whose form was checked (`certs.signature_values`) this is all that XML-DSig's core validation asks (W3C
xmldsig-core1, section 3.2): algorithms, references and transforms can be no others by then. Canonical forms come from
libxml2, signatures from `cryptography`. signxml, which does the same for signatures of every form, took three times as
long (docs/adr/0011); it is the tests' second opinion, and libxmlsec their third.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from certs.canonical import canonical
from certs.errors import SignatureFaults
from certs.keys import PublicKey
from certs.signature_values import SignatureValues
from schemas.xml import Element

#: XML-DSig writes an ECDSA signature as r and s, each as long as the order of the curve (xmldsig-core1, 6.4.3).
_P256_BYTES = 32


def signed_content(
    root: Element, signature: Element, values: SignatureValues, key: PublicKey, faults: SignatureFaults
) -> bytes:
    """The canonical form of what `signature`, standing in `root` and holding `values`, signs with `key`.

    The tree is as it was when this returns. Raises what `faults` makes: `signature`, `digest`.
    """
    if not _holds(values.value, values.signed_info, key):
        raise faults("signature", "The signature value does not verify with the signer's key.", signature[1])
    with _taken_out(signature):
        content = canonical(root)
    # SignedProperties is the one of this Signature: the form has one, and the reference's URI is its Id.
    signed = ((values.content, content), (values.properties, values.signed_properties))
    for place, (digest, octets) in enumerate(signed, start=2):
        if digest != hashlib.sha256(octets).digest():
            raise faults("digest", "What was signed has been changed: its digest is another.", signature[0][place])
    return content


def is_signed(content: bytes, values: SignatureValues, key: PublicKey) -> bool:
    """True if `content`, a canonical form, is what the signature that holds `values` signs with `key`."""
    return (
        _holds(values.value, values.signed_info, key)
        and values.content == hashlib.sha256(content).digest()
        and values.properties == hashlib.sha256(values.signed_properties).digest()
    )


def _holds(value: bytes, signed: bytes, key: PublicKey) -> bool:
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(value, signed, padding.PKCS1v15(), hashes.SHA256())
            return True
        if len(value) != 2 * _P256_BYTES:
            return False
        r, s = (int.from_bytes(half) for half in (value[:_P256_BYTES], value[_P256_BYTES:]))
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


@contextlib.contextmanager
def _taken_out(signature: Element) -> Iterator[None]:
    """The enveloped-signature transform: the element goes, the text behind it stays."""
    parent, before, tail = signature.getparent(), signature.getprevious(), signature.tail
    assert parent is not None  # noqa: S101 - it stands where `located_signature` found it
    # lxml takes the text behind an element along with it.
    parent.remove(signature)
    text = parent.text if before is None else before.tail
    joined = f"{text or ''}{tail or ''}" or None
    try:
        if before is None:
            parent.text = joined
        else:
            before.tail = joined
        yield
    finally:
        if before is None:
            parent.text = text
        else:
            before.tail = text
        parent.append(signature)
