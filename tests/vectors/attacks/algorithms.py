"""Attacks with algorithms and transforms.

Where it can be, the message is signed by the right key, so that nothing but the algorithm is wrong.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from certs.signature_profile import ds
from schemas.xml import Element
from tests.vectors.attacks.registry import refused_as
from tests.vectors.workshop import Workshop, canonical, first, resigned, written

_XMLDSIG = "http://www.w3.org/2000/09/xmldsig#"
_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
_INCLUSIVE_C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"


@refused_as("seal-algorithm")
def signature_with_sha_1(workshop: Workshop) -> bytes:
    """RSA with SHA-1, for which collisions are made to order."""
    root = workshop.tree()
    first(root, "ds:SignatureMethod").set("Algorithm", _XMLDSIG + "rsa-sha1")
    return resigned(root, workshop.g22.private_key, algorithm=hashes.SHA1())


@refused_as("seal-algorithm")
def signature_with_md5(workshop: Workshop) -> bytes:
    """RSA with MD5."""
    root = workshop.tree()
    first(root, "ds:SignatureMethod").set("Algorithm", _MORE + "rsa-md5")
    return resigned(root, workshop.g22.private_key, algorithm=hashes.MD5())


@refused_as("seal-algorithm")
def signature_with_an_algorithm_unlisted(workshop: Workshop) -> bytes:
    """RSA with SHA-512 is sound, but not on the list: one message has one form."""
    root = workshop.tree()
    first(root, "ds:SignatureMethod").set("Algorithm", _MORE + "rsa-sha512")
    return resigned(root, workshop.g22.private_key, algorithm=hashes.SHA512())


@refused_as("seal-key")
def signature_method_of_another_kind_of_key(workshop: Workshop) -> bytes:
    """The method says ECDSA, the key is RSA."""
    root = workshop.tree()
    first(root, "ds:SignatureMethod").set("Algorithm", _MORE + "ecdsa-sha256")
    return resigned(root, workshop.g22.private_key)


@refused_as("seal-algorithm")
def digest_with_sha_1(workshop: Workshop) -> bytes:
    """The digest of the message is SHA-1, so that the message could be exchanged for its collision."""
    root = workshop.tree()
    for method in first(root, "ds:SignedInfo").iter(ds("DigestMethod")):
        method.set("Algorithm", _XMLDSIG + "sha1")
    return resigned(
        root, workshop.g22.private_key, digest=lambda content: hashlib.sha1(content, usedforsecurity=False).digest()
    )


@refused_as("seal-algorithm")
def certificate_digest_with_sha_1(workshop: Workshop) -> bytes:
    """The signer's certificate is named by a SHA-1 digest."""
    root = workshop.tree()
    first(root, "xades:CertDigest")[0].set("Algorithm", _XMLDSIG + "sha1")
    return resigned(root, workshop.g22.private_key)


@refused_as("seal-algorithm")
def hmac_with_the_public_key(workshop: Workshop) -> bytes:
    """HMAC confusion: the secret is the signer's certificate, which everybody has."""
    root = workshop.forged()
    root_signature = first(workshop.tree(), "ds:Signature")
    first(root, "q:edXMLHeader").append(root_signature)
    public = workshop.g22.certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return _with_hmac(root, workshop, public)


@refused_as("seal-algorithm")
def hmac_with_an_empty_key(workshop: Workshop) -> bytes:
    """HMAC with a secret that everybody knows."""
    return _with_hmac(workshop.tree(), workshop, b"")


@refused_as("seal-algorithm")
def hmac_truncated_to_nothing(workshop: Workshop) -> bytes:
    """HMACOutputLength 0, of which every value is right (CVE-2009-0217)."""
    root = workshop.tree()
    method = first(root, "ds:SignatureMethod")
    method.set("Algorithm", _MORE + "hmac-sha256")
    etree.SubElement(method, ds("HMACOutputLength")).text = "0"
    return written(root)


@refused_as("seal-algorithm")
def signed_info_canonicalised_inclusively(workshop: Workshop) -> bytes:
    """SignedInfo in inclusive canonical form, which depends on what stands around it."""
    root = workshop.tree()
    first(root, "ds:CanonicalizationMethod").set("Algorithm", _INCLUSIVE_C14N)
    return resigned(root, workshop.g22.private_key)


@refused_as("seal-algorithm")
def message_canonicalised_inclusively(workshop: Workshop) -> bytes:
    """The message in inclusive canonical form."""
    return _with_transforms(workshop, [_XMLDSIG + "enveloped-signature", _INCLUSIVE_C14N])


@refused_as("seal-algorithm")
def message_canonicalised_with_comments(workshop: Workshop) -> bytes:
    """The message in canonical form with comments, of which a second spelling exists for every message."""
    with_comments = "http://www.w3.org/2001/10/xml-exc-c14n#WithComments"
    return _with_transforms(workshop, [_XMLDSIG + "enveloped-signature", with_comments])


@refused_as("seal-algorithm")
def message_not_canonicalised(workshop: Workshop) -> bytes:
    """No canonical form is named, and verifiers fall back on different ones."""
    return _with_transforms(workshop, [_XMLDSIG + "enveloped-signature"])


@refused_as("seal-algorithm")
def properties_canonicalised_inclusively(workshop: Workshop) -> bytes:
    """SignedProperties in inclusive canonical form."""
    root = workshop.tree()
    first(root, "ds:SignedInfo")[3][0][0].set("Algorithm", _INCLUSIVE_C14N)
    return resigned(root, workshop.g22.private_key)


@refused_as("seal-algorithm")
def properties_not_canonicalised(workshop: Workshop) -> bytes:
    """SignedProperties signed as XAdES signers often do, their form left to each verifier's default."""
    root = workshop.tree()
    transforms = first(root, "ds:SignedInfo")[3][0]
    transforms[0].set("Algorithm", _XMLDSIG + "enveloped-signature")
    return resigned(root, workshop.g22.private_key)


@refused_as("seal-algorithm")
def signature_not_taken_out(workshop: Workshop) -> bytes:
    """No enveloped-signature transform: the digest would have to cover itself."""
    return _with_transforms(workshop, ["http://www.w3.org/2001/10/xml-exc-c14n#"])


@refused_as("seal-algorithm")
def transform_by_xpath(workshop: Workshop) -> bytes:
    """An XPath transform selects what is covered: here everything but the recipients."""
    root = workshop.tree()
    transforms = first(root, "ds:Transforms")
    transform = etree.SubElement(transforms, ds("Transform"), Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116")
    etree.SubElement(transform, ds("XPath")).text = "not(ancestor-or-self::*[local-name() = 'To'])"
    return resigned(root, workshop.g22.private_key)


@refused_as("seal-algorithm")
def transform_by_xslt(workshop: Workshop) -> bytes:
    """An XSLT transform: a program that the verifier runs before it knows whose it is."""
    root = workshop.tree()
    transforms = first(root, "ds:Transforms")
    transform = etree.SubElement(transforms, ds("Transform"), Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116")
    etree.SubElement(transform, "{http://www.w3.org/1999/XSL/Transform}stylesheet", version="1.0")
    return resigned(root, workshop.g22.private_key)


@refused_as("seal-algorithm")
def transform_by_base64(workshop: Workshop) -> bytes:
    """A base64 transform, which covers the decoded text alone."""
    return _with_transforms(workshop, [_XMLDSIG + "enveloped-signature", _XMLDSIG + "base64"])


@refused_as("seal-algorithm")
def namespaces_kept_by_prefix(workshop: Workshop) -> bytes:
    """InclusiveNamespaces in the canonicalisation, which brings the surroundings back in."""
    root = workshop.tree()
    method = first(root, "ds:CanonicalizationMethod")
    etree.SubElement(method, "{http://www.w3.org/2001/10/xml-exc-c14n#}InclusiveNamespaces", PrefixList="edXML")
    return resigned(root, workshop.g22.private_key)


def _with_transforms(workshop: Workshop, algorithms: list[str]) -> bytes:
    root = workshop.tree()
    transforms = first(root, "ds:Transforms")
    for transform in list(transforms):
        transforms.remove(transform)
    for algorithm in algorithms:
        etree.SubElement(transforms, ds("Transform"), Algorithm=algorithm)
    return resigned(root, workshop.g22.private_key)


def _with_hmac(root: Element, workshop: Workshop, secret: bytes) -> bytes:
    first(root, "ds:SignatureMethod").set("Algorithm", _MORE + "hmac-sha256")
    signed = etree.fromstring(resigned(root, workshop.g22.private_key))
    code = hmac.new(secret, canonical(first(signed, "ds:SignedInfo")), "sha256").digest()
    first(signed, "ds:SignatureValue").text = base64.b64encode(code).decode()
    return written(signed)
