"""What a Signature element says, once its form is known to be the profile's: every value that the rest looks at.

A signature that is written as we write them is known by its text (`certs.signature_text`), which costs an eighth of the
walk from element to element. Every other one is walked, and so is one that breaks a rule: the walk says which.
"""

from __future__ import annotations

from binascii import Error, a2b_base64
from dataclasses import dataclass, field

from certs.canonical import canonical
from certs.errors import SignatureFaults
from certs.signature_form import check_form, decoded
from certs.signature_profile import ds, xades
from certs.signature_text import SignatureText, signed_info, signed_properties
from schemas.xml import Element

_CERTIFICATE_TAG = "<ds:X509Certificate>"


@dataclass(frozen=True, slots=True)
class SignatureValues:
    """`method` is the URI of the algorithm; `content` and `properties` the digests that the references carry.

    `certificates` are in DER, in the order written, `certificate` the digest of the signer's. `signed_info` and
    `signed_properties` are those elements in exclusive C14N.
    """

    method: str
    content: bytes
    properties: bytes
    value: bytes
    certificates: tuple[bytes, ...]
    certificate: bytes
    signing_time: str
    signed_info: bytes = field(repr=False)
    signed_properties: bytes = field(repr=False)


def signature_values(signature: Element, faults: SignatureFaults) -> SignatureValues:
    """The values in `signature`, if it holds what the profile has and nothing else; raises as `check_form` does."""
    return written_values(canonical(signature)) or _walked(signature, faults)


def written_values(canonical_form: bytes) -> SignatureValues | None:
    """The values in a Signature whose canonical form is, to the byte, as we write it; None says nothing against it."""
    written = SignatureText.read(canonical_form)
    return None if written is None else _values_in(written)


def _values_in(written: SignatureText) -> SignatureValues | None:
    """None if anything is no base64 that everybody reads alike."""
    try:
        return SignatureValues(
            method=written.method,
            content=_strictly(written.content),
            properties=_strictly(written.properties),
            value=_strictly(written.value),
            certificates=_certificates_in(written.certificates),
            certificate=_strictly(written.certificate),
            signing_time=written.signing_time,
            signed_info=signed_info(written.method, written.content, written.properties).encode(),
            signed_properties=signed_properties(written.signing_time, written.certificate).encode(),
        )
    except Error:
        return None


def _certificates_in(markup: str) -> tuple[bytes, ...]:
    texts = markup.replace("\n", "").split("</ds:X509Certificate>")[:-1]
    return tuple([_strictly(text.removeprefix(_CERTIFICATE_TAG)) for text in texts])


def _strictly(text: str) -> bytes:
    return a2b_base64(text, strict_mode=True)


def _walked(signature: Element, faults: SignatureFaults) -> SignatureValues:
    check_form(signature, faults)
    info, value, _, container = signature
    properties = container[0][0]
    return SignatureValues(
        method=info[1].get("Algorithm", ""),
        content=decoded(info[2][2]),
        properties=decoded(info[3][2]),
        value=decoded(value),
        certificates=tuple(decoded(each) for each in signature.iter(ds("X509Certificate"))),
        certificate=decoded(next(signature.iter(xades("CertDigest")))[1]),
        signing_time=next(signature.iter(xades("SigningTime"))).text or "",
        signed_info=canonical(info),
        signed_properties=canonical(properties),
    )
