"""The one form of XML signature that is made and taken here, for seals and for proofs alike.

An enveloped XAdES signature (ETSI EN 319 132-1, level B-B) with two references, each with an explicit exclusive-C14N
transform, for without one libxmlsec canonicalises inclusively and rejects:

    ds:Signature Id="seal"
      ds:SignedInfo                exclusive C14N; RSA (PKCS #1 v1.5) or ECDSA, with SHA-256
        ds:Reference URI=""                    enveloped-signature, exclusive C14N; its digest is the identity
        ds:Reference URI="#seal-properties"    exclusive C14N
      ds:SignatureValue
      ds:KeyInfo/ds:X509Data/ds:X509Certificate+
      ds:Object/xades:QualifyingProperties/xades:SignedProperties Id="seal-properties"
        signing time, digest of the signer's certificate, media type

The form is narrow on purpose: what a verifier does not take, an attacker cannot use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod

from schemas.namespaces import DS
from schemas.xml import Element

XADES: Final = "http://uri.etsi.org/01903/v1.3.2#"

SIGNATURE_ID: Final = "seal"
PROPERTIES_ID: Final = "seal-properties"
CONTENT_REFERENCE_ID: Final = "seal-content"

ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
EXCLUSIVE_C14N: Final = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0
SHA256: Final = DigestAlgorithm.SHA256
SIGNATURE_METHODS: Final = frozenset({SignatureMethod.RSA_SHA256, SignatureMethod.ECDSA_SHA256})

#: Type of the reference to SignedProperties (ETSI EN 319 132-1, 4.4.2).
PROPERTIES_TYPE: Final = "http://uri.etsi.org/01903#SignedProperties"
MEDIA_TYPE: Final = "application/xml"

#: SigningTime: an instant in UTC, to the second.
SIGNING_TIME_FORM: Final = "%Y-%m-%dT%H:%M:%SZ"

#: More certificates than any path has: a bound on the work that a sender can cause.
MAXIMUM_CERTIFICATES: Final = 10


def ds(name: str) -> str:
    return f"{{{DS}}}{name}"


def xades(name: str) -> str:
    return f"{{{XADES}}}{name}"


@dataclass(frozen=True, slots=True)
class Shape:
    """What an element may hold: exactly `children` (with `repeats`, the last of them once or more) and `attributes`.

    `fault` names the rule that is broken where it holds anything else. `is_text`: its text is a value,
    with `is_base64` one in base64.
    """

    children: tuple[str, ...] = ()
    attributes: frozenset[str] = frozenset()
    fault: str = "form"
    repeats: bool = False
    is_text: bool = False
    is_base64: bool = False

    def admits(self, element: Element) -> bool:
        if not self.attributes.issuperset(element.attrib):
            return False
        found = tuple(child.tag for child in element)
        if self.repeats:
            return found == self.children * max(1, len(found))
        return found == self.children


_TEXT: Final = Shape(is_text=True)
_BASE64: Final = Shape(is_text=True, is_base64=True)
_ALGORITHM: Final = Shape(attributes=frozenset({"Algorithm"}), fault="algorithm")


def _object(*children: str, attributes: frozenset[str] = frozenset()) -> Shape:
    return Shape(children, attributes, "object")


SHAPES: Final = {
    ds("Signature"): Shape((ds("SignedInfo"), ds("SignatureValue"), ds("KeyInfo"), ds("Object")), frozenset({"Id"})),
    ds("SignedInfo"): Shape(
        (ds("CanonicalizationMethod"), ds("SignatureMethod"), ds("Reference"), ds("Reference")), fault="references"
    ),
    ds("CanonicalizationMethod"): _ALGORITHM,
    ds("SignatureMethod"): _ALGORITHM,
    ds("Reference"): Shape(
        (ds("Transforms"), ds("DigestMethod"), ds("DigestValue")), frozenset({"Id", "URI", "Type"}), "references"
    ),
    ds("Transforms"): Shape((ds("Transform"),), fault="algorithm", repeats=True),
    ds("Transform"): _ALGORITHM,
    ds("DigestMethod"): _ALGORITHM,
    ds("DigestValue"): _BASE64,
    ds("SignatureValue"): _BASE64,
    ds("KeyInfo"): Shape((ds("X509Data"),), fault="key-info"),
    ds("X509Data"): Shape((ds("X509Certificate"),), fault="key-info", repeats=True),
    ds("X509Certificate"): Shape(fault="key-info", is_text=True, is_base64=True),
    ds("Object"): _object(xades("QualifyingProperties")),
    xades("QualifyingProperties"): _object(xades("SignedProperties"), attributes=frozenset({"Target"})),
    xades("SignedProperties"): _object(
        xades("SignedSignatureProperties"), xades("SignedDataObjectProperties"), attributes=frozenset({"Id"})
    ),
    xades("SignedSignatureProperties"): _object(xades("SigningTime"), xades("SigningCertificateV2")),
    xades("SigningTime"): _TEXT,
    xades("SigningCertificateV2"): _object(xades("Cert")),
    xades("Cert"): _object(xades("CertDigest")),
    xades("CertDigest"): _object(ds("DigestMethod"), ds("DigestValue")),
    xades("SignedDataObjectProperties"): _object(xades("DataObjectFormat")),
    xades("DataObjectFormat"): _object(xades("MimeType"), attributes=frozenset({"ObjectReference"})),
    xades("MimeType"): _TEXT,
}
