"""The profile's signature as text: the form that we write, and by which we know our own again.

Like envelopes and receipts, a signature is written as text that is exclusive C14N already: nothing in its form varies
but digests, values and certificates in base64, the signing time, and the name of an algorithm. So one regular
expression, made from the same text, says of a canonical form whether it is exactly that, and finds what varies.

Canonical by itself, an element declares the namespaces that are declared further out in the Signature.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from certs.signature_profile import (
    CONTENT_REFERENCE_ID,
    ENVELOPED,
    EXCLUSIVE_C14N,
    MEDIA_TYPE,
    PROPERTIES_ID,
    PROPERTIES_TYPE,
    SHA256,
    SIGNATURE_ID,
    SIGNATURE_METHODS,
    XADES,
)
from schemas.namespaces import DS

_BEGINS: Final = b"<ds:Signature "
_ENDS: Final = b"</ds:Signature>"

_DS: Final = f' xmlns:ds="{DS}"'
_XADES: Final = f' xmlns:xades="{XADES}"'


@dataclass(frozen=True, slots=True)
class SignatureText:
    """What varies in a signature, as it is written: `method` the URI of its algorithm, digests and `value` in base64.

    `certificates` are elements X509Certificate.
    """

    method: str
    content: str
    properties: str
    value: str
    certificates: str
    signing_time: str
    certificate: str

    @classmethod
    def read(cls, canonical: bytes) -> Self | None:
        """What varies in a signature whose canonical form is given; None if that is not, to the byte, as we write it.

        None says nothing against a signature: another prefix, or white space, is as good (`certs.signature_form`).
        """
        try:
            found = _WRITTEN.fullmatch(canonical.decode("ascii"))
        except UnicodeDecodeError:
            return None
        return None if found is None else cls(**found.groupdict())

    def __str__(self) -> str:
        """The Signature."""
        return (
            f'<ds:Signature{_DS} Id="{SIGNATURE_ID}">'
            f"{_signed_info(self.method, self.content, self.properties)}"
            f"<ds:SignatureValue>{self.value}</ds:SignatureValue>"
            f"<ds:KeyInfo><ds:X509Data>{self.certificates}</ds:X509Data></ds:KeyInfo>"
            f'<ds:Object><xades:QualifyingProperties{_XADES} Target="#{SIGNATURE_ID}">'
            f"{_signed_properties(self.signing_time, self.certificate)}"
            "</xades:QualifyingProperties></ds:Object></ds:Signature>"
        )


def taken_apart(data: bytes) -> tuple[bytes, bytes, bytes] | None:
    """What stands before the first Signature in `data`, the Signature, and what stands behind it; None without one.

    Found by our prefix, in bytes of which the caller has yet to know the form.
    """
    before, begins, rest = data.partition(_BEGINS)
    within, ends, behind = rest.partition(_ENDS)
    return (before, begins + within + ends, behind) if ends else None


def signed_info(method: str, content: str, properties: str) -> str:
    """SignedInfo by itself: what the key signs. `content` and `properties` are what the references digest."""
    return _signed_info(method, content, properties, ds=_DS)


def signed_properties(signing_time: str, certificate: str) -> str:
    """SignedProperties by themselves: what the second reference digests. `certificate` is the digest of one."""
    return _signed_properties(signing_time, certificate, ds=_DS, xades=_XADES)


def _signed_info(method: str, content: str, properties: str, *, ds: str = "") -> str:
    of_content = _reference(f'Id="{CONTENT_REFERENCE_ID}" URI=""', (ENVELOPED, EXCLUSIVE_C14N.value), content)
    of_properties = _reference(f'Type="{PROPERTIES_TYPE}" URI="#{PROPERTIES_ID}"', (EXCLUSIVE_C14N.value,), properties)
    algorithms = _algorithm("CanonicalizationMethod", EXCLUSIVE_C14N.value) + _algorithm("SignatureMethod", method)
    return f"<ds:SignedInfo{ds}>{algorithms}{of_content}{of_properties}</ds:SignedInfo>"


def _reference(attributes: str, transforms: tuple[str, ...], digest: str) -> str:
    steps = "".join(_algorithm("Transform", transform) for transform in transforms)
    return f"<ds:Reference {attributes}><ds:Transforms>{steps}</ds:Transforms>{_digest(digest)}</ds:Reference>"


def _signed_properties(signing_time: str, certificate: str, *, ds: str = "", xades: str = "") -> str:
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


def _digest(digest: str, *, ds: str = "") -> str:
    return f"{_algorithm('DigestMethod', SHA256.value, ds=ds)}<ds:DigestValue{ds}>{digest}</ds:DigestValue>"


def _algorithm(name: str, algorithm: str, *, ds: str = "") -> str:
    return f'<ds:{name}{ds} Algorithm="{algorithm}"></ds:{name}>'


_DIGEST: Final = "[A-Za-z0-9+/]{43}="

#: What may stand where something varies. Where base64 is none all the same, whoever decodes it says so.
_VARYING: Final = {
    "method": "|".join(re.escape(method.value) for method in SIGNATURE_METHODS),
    "content": _DIGEST,
    "properties": _DIGEST,
    "value": "[A-Za-z0-9+/]+={0,2}",
    "certificates": "(?:<ds:X509Certificate>[A-Za-z0-9+/\n]+={0,2}\n?</ds:X509Certificate>)+",
    "signing_time": "[0-9TZ:-]+",
    "certificate": _DIGEST,
}


def _pattern() -> re.Pattern[str]:
    pattern = re.escape(str(SignatureText(**{name: f"{{{name}}}" for name in _VARYING})))
    for name, varying in _VARYING.items():
        pattern = pattern.replace(re.escape(f"{{{name}}}"), f"(?P<{name}>{varying})")
    return re.compile(pattern)


_WRITTEN: Final = _pattern()
