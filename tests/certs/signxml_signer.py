"""A signature of the profile as signxml makes it: from a tree, by code that shares nothing with our writer."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from functools import partial
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from lxml import etree
from lxml.etree import SubElement
from signxml.algorithms import SignatureMethod
from signxml.signer import XMLSigner

from certs.sealing import SealingKey
from certs.signature_profile import EXCLUSIVE_C14N, SHA256, XADES, ds, xades
from schemas.namespaces import DS
from schemas.xml import Element


def signature_by_signxml(unsigned: bytes, parent: str, key: SealingKey, signing_time: datetime) -> bytes:
    """The canonical form of the Signature that an RSA key makes over `unsigned`, last in the element at `parent`."""
    root = etree.fromstring(unsigned)
    place = root.find(parent)
    assert place is not None
    SubElement(place, ds("Signature"), nsmap={"ds": DS}, Id="placeholder")
    signer = XMLSigner(
        signature_algorithm=SignatureMethod.RSA_SHA256,
        digest_algorithm=SHA256,
        c14n_algorithm=EXCLUSIVE_C14N,
    )
    signer.signature_annotators.append(partial(_add_properties, certificate=key.certificate, signing_time=signing_time))
    signed = signer.sign(root, key=key.private_key, cert=list(key.certificates))
    return etree.tostring(next(signed.iter(ds("Signature"))), method="c14n", exclusive=True)


def _add_properties(
    signature: Element, *, certificate: x509.Certificate, signing_time: datetime, signing_settings: Any
) -> None:
    del signing_settings  # signxml hands it to each annotator
    signature.set("Id", "seal")
    signature[0][2].set("Id", "seal-content")
    container = SubElement(
        SubElement(signature, ds("Object")),
        xades("QualifyingProperties"),
        nsmap={"xades": XADES},
        Target="#seal",
    )
    properties = SubElement(container, xades("SignedProperties"), Id="seal-properties")
    of_signature = SubElement(properties, xades("SignedSignatureProperties"))
    SubElement(of_signature, xades("SigningTime")).text = f"{signing_time:%Y-%m-%dT%H:%M:%SZ}"
    certificates = SubElement(of_signature, xades("SigningCertificateV2"))
    _add_digest(
        SubElement(SubElement(certificates, xades("Cert")), xades("CertDigest")),
        certificate.fingerprint(hashes.SHA256()),
    )
    of_content = SubElement(properties, xades("SignedDataObjectProperties"))
    form = SubElement(of_content, xades("DataObjectFormat"), ObjectReference="#seal-content")
    SubElement(form, xades("MimeType")).text = "application/xml"
    reference = SubElement(
        signature[0], ds("Reference"), URI="#seal-properties", Type="http://uri.etsi.org/01903#SignedProperties"
    )
    SubElement(SubElement(reference, ds("Transforms")), ds("Transform"), Algorithm=EXCLUSIVE_C14N.value)
    canonical = etree.tostring(properties, method="c14n", exclusive=True)
    _add_digest(reference, hashlib.sha256(canonical).digest())


def _add_digest(parent: Element, digest: bytes) -> None:
    SubElement(parent, ds("DigestMethod"), Algorithm=SHA256.value)
    SubElement(parent, ds("DigestValue")).text = base64.b64encode(digest).decode()
