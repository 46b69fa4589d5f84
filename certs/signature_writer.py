"""Making a signature of the profile with signxml, and putting it into bytes that otherwise stay as they are."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from functools import partial
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from lxml import etree
from lxml.etree import SubElement
from signxml.algorithms import SignatureMethod
from signxml.signer import XMLSigner

from certs.sealing_key import SealingKey
from certs.signature_profile import (
    CONTENT_REFERENCE_ID,
    EXCLUSIVE_C14N,
    MEDIA_TYPE,
    PROPERTIES_ID,
    PROPERTIES_TYPE,
    SHA256,
    SIGNATURE_ID,
    SIGNING_TIME_FORM,
    XADES,
    ds,
    xades,
)
from schemas.envelope import Sha256Hex
from schemas.namespaces import DS
from schemas.xml import Element


def sign_enveloped(
    unsigned: bytes, parent: Element, key: SealingKey, signing_time: datetime
) -> tuple[bytes, Sha256Hex]:
    """`unsigned` with a signature as the last child of `parent`, and the digest of what it signs, in hex.

    `parent` is an element of the tree that `unsigned` was parsed into; its end tag stands in the bytes once. The tree
    is not usable afterwards. Every byte outside the signature stays as it was. ValueError for a naive `signing_time`.
    """
    if signing_time.tzinfo is None:
        raise ValueError("a naive signing time names no instant: give it a time zone")
    end_tag = _end_tag(parent)
    head, found, tail = unsigned.rpartition(end_tag)
    if not found or end_tag in head:
        raise ValueError(f"the bytes to sign hold {end_tag!r} more or less than once")
    SubElement(parent, ds("Signature"), nsmap={"ds": DS}, Id="placeholder")
    signature = _signature(parent.getroottree().getroot(), key, signing_time)
    digest = b64decode(signature.findtext(f"{ds('SignedInfo')}/{ds('Reference')}/{ds('DigestValue')}", ""))
    # Written canonically, the signature carries the namespaces that it uses and none of its parents'.
    written = etree.tostring(signature, method="c14n", exclusive=True)
    return b"".join((head, written, end_tag, tail)), digest.hex()


def _end_tag(element: Element) -> bytes:
    name = etree.QName(element).localname
    return f"</{element.prefix}:{name}>".encode() if element.prefix else f"</{name}>".encode()


def _signature(root: Element, key: SealingKey, signing_time: datetime) -> Element:
    is_rsa = isinstance(key.private_key, rsa.RSAPrivateKey)
    signer = XMLSigner(
        signature_algorithm=SignatureMethod.RSA_SHA256 if is_rsa else SignatureMethod.ECDSA_SHA256,
        digest_algorithm=SHA256,
        c14n_algorithm=EXCLUSIVE_C14N,
    )
    # signxml's own XAdES signer takes the machine's time, and its references to SignedProperties and KeyInfo have no
    # transform, which libxmlsec then rejects; so its plain signer is given our properties.
    signer.signature_annotators.append(partial(_add_properties, certificate=key.certificate, signing_time=signing_time))
    signed_root = signer.sign(root, key=key.private_key, cert=list(key.certificates))
    return next(signed_root.iter(ds("Signature")))


def _add_properties(
    signature: Element, *, certificate: x509.Certificate, signing_time: datetime, signing_settings: Any
) -> None:
    """Append SignedProperties to `signature`, and the reference to it to SignedInfo, which is signed afterwards."""
    del signing_settings  # signxml hands it to each annotator
    signature.set("Id", SIGNATURE_ID)
    signed_info = signature[0]
    signed_info[2].set("Id", CONTENT_REFERENCE_ID)
    container = SubElement(
        SubElement(signature, ds("Object")),
        xades("QualifyingProperties"),
        nsmap={"xades": XADES},
        Target=f"#{SIGNATURE_ID}",
    )
    properties = SubElement(container, xades("SignedProperties"), Id=PROPERTIES_ID)
    of_signature = SubElement(properties, xades("SignedSignatureProperties"))
    SubElement(of_signature, xades("SigningTime")).text = signing_time.astimezone(UTC).strftime(SIGNING_TIME_FORM)
    certificates = SubElement(of_signature, xades("SigningCertificateV2"))
    certificate_digest = SubElement(SubElement(certificates, xades("Cert")), xades("CertDigest"))
    _add_digest(certificate_digest, certificate.fingerprint(hashes.SHA256()))
    of_content = SubElement(properties, xades("SignedDataObjectProperties"))
    form = SubElement(of_content, xades("DataObjectFormat"), ObjectReference=f"#{CONTENT_REFERENCE_ID}")
    SubElement(form, xades("MimeType")).text = MEDIA_TYPE

    reference = SubElement(signed_info, ds("Reference"), URI=f"#{PROPERTIES_ID}", Type=PROPERTIES_TYPE)
    SubElement(SubElement(reference, ds("Transforms")), ds("Transform"), Algorithm=EXCLUSIVE_C14N.value)
    canonical = etree.tostring(properties, method="c14n", exclusive=True)
    _add_digest(reference, hashlib.sha256(canonical).digest())


def _add_digest(parent: Element, digest: bytes) -> None:
    SubElement(parent, ds("DigestMethod"), Algorithm=SHA256.value)
    SubElement(parent, ds("DigestValue")).text = b64encode(digest).decode()
