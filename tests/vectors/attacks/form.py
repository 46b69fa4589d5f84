"""Attacks with what the form of a signature allows elsewhere: references, objects, key information, values."""

from __future__ import annotations

import base64
from copy import deepcopy

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

from certs.keys import new_p256_key
from certs.sealing import seal
from certs.signature_profile import ds
from tests.vectors.attacks.registry import refused_as
from tests.vectors.workshop import AT, G22, Workshop, envelope_from, first, resigned, show_chain, written


@refused_as("seal-references")
def reference_to_a_part(workshop: Workshop) -> bytes:
    """The first reference names one element, so that the rest is not covered; signed by the right key."""
    root = workshop.tree()
    first(root, "ds:Reference").set("URI", "#seal")
    return resigned(root, workshop.g22.private_key)


@refused_as("seal-references")
def reference_outside(workshop: Workshop) -> bytes:
    """The first reference leads to an address that the attacker serves."""
    root = workshop.tree()
    first(root, "ds:Reference").set("URI", "http://attacker.example/message.xml")
    return resigned(root, workshop.g22.private_key)


@refused_as("seal-references")
def reference_by_xpointer(workshop: Workshop) -> bytes:
    """The first reference is an XPointer to the root, which keeps comments."""
    root = workshop.tree()
    first(root, "ds:Reference").set("URI", "#xpointer(/)")
    return resigned(root, workshop.g22.private_key)


@refused_as("seal-references")
def reference_missing(workshop: Workshop) -> bytes:
    """The signature covers SignedProperties alone; signed by the right key."""
    root = workshop.tree()
    signed_info = first(root, "ds:SignedInfo")
    signed_info.remove(signed_info[2])
    return resigned(root, workshop.g22.private_key)


@refused_as("seal-references")
def properties_not_signed(workshop: Workshop) -> bytes:
    """The signature covers the message alone, so that signing time and certificate could be changed."""
    root = workshop.tree()
    signed_info = first(root, "ds:SignedInfo")
    signed_info.remove(signed_info[3])
    return resigned(root, workshop.g22.private_key)


@refused_as("seal-references")
def reference_to_other_properties(workshop: Workshop) -> bytes:
    """The second reference names another element of the signature; signed by the right key."""
    root = workshop.tree()
    first(root, "ds:SignedInfo")[3].set("URI", "#seal-content")
    return resigned(root, workshop.g22.private_key)


@refused_as("seal-references")
def reference_of_no_type(workshop: Workshop) -> bytes:
    """The second reference does not say that it covers SignedProperties; signed by the right key."""
    root = workshop.tree()
    del first(root, "ds:SignedInfo")[3].attrib["Type"]
    return resigned(root, workshop.g22.private_key)


@refused_as("seal-references")
def reference_too_many(workshop: Workshop) -> bytes:
    """A third reference, of which nobody knows what it means; signed by the right key."""
    root = workshop.tree()
    signed_info = first(root, "ds:SignedInfo")
    signed_info.append(deepcopy(signed_info[3]))
    return resigned(root, workshop.g22.private_key)


@refused_as("seal-references")
def properties_of_another_target(workshop: Workshop) -> bytes:
    """QualifyingProperties says that it belongs to another signature."""
    root = workshop.tree()
    first(root, "xades:QualifyingProperties").set("Target", "#another")
    return written(root)


@refused_as("seal-object")
def object_smuggled(workshop: Workshop) -> bytes:
    """An unsigned Object with bytes of the attacker's, carried and stored by everybody."""
    root = workshop.tree()
    etree.SubElement(first(root, "ds:Signature"), ds("Object")).text = base64.b64encode(b"MZ" * 40).decode()
    return written(root)


@refused_as("seal-object")
def manifest_in_an_object(workshop: Workshop) -> bytes:
    """A Manifest, whose references a verifier of XML-DSig does not check."""
    root = workshop.tree()
    manifest = etree.SubElement(etree.SubElement(first(root, "ds:Signature"), ds("Object")), ds("Manifest"))
    etree.SubElement(manifest, ds("Reference"), URI="http://attacker.example/attachment.pdf")
    return written(root)


@refused_as("seal-form")
def text_smuggled(workshop: Workshop) -> bytes:
    """Loose text between the elements of the signature, which nothing covers."""
    root = workshop.tree()
    first(root, "ds:X509Data").text = "the attacker was here"
    return written(root)


@refused_as("seal-form")
def invisible_text_smuggled(workshop: Workshop) -> bytes:
    """Characters that look like white space, and are none in XML, spell out a hidden text."""
    root = workshop.tree()
    first(root, "ds:X509Data").text = "\u2003\u00a0\u2003"
    return written(root)


@refused_as("seal-key-info")
def attribute_smuggled(workshop: Workshop) -> bytes:
    """An attribute on KeyInfo, which nothing covers."""
    root = workshop.tree()
    first(root, "ds:KeyInfo").set("Id", "the-attacker-was-here")
    return written(root)


@refused_as("seal-form")
def key_info_missing(workshop: Workshop) -> bytes:
    """Without KeyInfo a verifier has to guess the key."""
    root = workshop.tree()
    signature = first(root, "ds:Signature")
    signature.remove(first(signature, "ds:KeyInfo"))
    return written(root)


@refused_as("seal-key-info")
def key_info_swapped(workshop: Workshop) -> bytes:
    """KeyInfo brings another certificate than the one signed as the signer's."""
    root = workshop.tree()
    show_chain(first(root, "ds:Signature"), workshop.key_of(G22, workshop.national).certificates)
    return written(root)


@refused_as("seal-key-info")
def certificate_swapped_under_one_key(workshop: Workshop) -> bytes:
    """KeyInfo brings another certificate of the very key that signed, so the signature value verifies."""
    root = workshop.tree()
    other = workshop.key_of(G22, workshop.national, workshop.g22.private_key)
    show_chain(first(root, "ds:Signature"), other.certificates)
    return written(root)


@refused_as("seal-key-info")
def key_value_added(workshop: Workshop) -> bytes:
    """A KeyValue beside X509Data: two answers to the question whose key it is."""
    root = workshop.tree()
    etree.SubElement(first(root, "ds:KeyInfo"), ds("KeyValue"))
    return written(root)


@refused_as("seal-key-info")
def certificates_too_many(workshop: Workshop) -> bytes:
    """More certificates than any path has, each of which costs a verifier its time."""
    root = workshop.tree()
    show_chain(first(root, "ds:Signature"), workshop.g22.certificates + workshop.g22.certificates[1:] * 10)
    return written(root)


@refused_as("seal-key-info")
def certificate_damaged(workshop: Workshop) -> bytes:
    """An X509Certificate that holds no certificate."""
    root = workshop.tree()
    first(root, "ds:X509Certificate").text = base64.b64encode(b"no certificate").decode()
    return written(root)


@refused_as("seal-signature")
def signed_by_another_key(workshop: Workshop) -> bytes:
    """The signature value is another key's, the certificate the right one's."""
    genuine = seal(envelope_from(), workshop.key_of(G22, workshop.national), AT).data
    return resigned(etree.fromstring(genuine), new_p256_key())


@refused_as("seal-form")
def signature_value_empty(workshop: Workshop) -> bytes:
    """An empty signature value."""
    root = workshop.tree()
    first(root, "ds:SignatureValue").text = None
    return written(root)


@refused_as("seal-form")
def signature_value_padded_with_junk(workshop: Workshop) -> bytes:
    """Characters that are no base64 stand in the signature value, where lenient decoders skip them."""
    root = workshop.tree()
    value = first(root, "ds:SignatureValue")
    value.text = f"{value.text}*the attacker was here*"
    return written(root)


@refused_as("seal-signature")
def signature_value_of_zeros(workshop: Workshop) -> bytes:
    """An ECDSA signature of r = s = 0, which a careless implementation takes for any message (CVE-2022-21449)."""
    root = etree.fromstring(seal(envelope_from(), workshop.key_of(G22, workshop.national), AT).data)
    first(root, "ds:SignatureValue").text = base64.b64encode(bytes(64)).decode()
    return written(root)


@refused_as("seal-signature")
def signature_value_in_der(workshop: Workshop) -> bytes:
    """An ECDSA signature in DER instead of the two numbers that XML-DSig asks for: a second spelling of one value."""
    root = etree.fromstring(seal(envelope_from(), workshop.key_of(G22, workshop.national), AT).data)
    value = first(root, "ds:SignatureValue")
    raw = base64.b64decode(value.text or "")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    value.text = base64.b64encode(der).decode()
    return written(root)


@refused_as("seal-signature")
def digest_value_changed(workshop: Workshop) -> bytes:
    """The message and its digest are both changed; SignedInfo is not signed anew."""
    root = workshop.tree()
    first(root, "q:Subject").text = "V/v khác"
    genuine = base64.b64decode(first(root, "ds:SignatureValue").text or "")
    forged = etree.fromstring(resigned(root, workshop.g22.private_key))
    first(forged, "ds:SignatureValue").text = base64.b64encode(genuine).decode()
    return written(forged)


@refused_as("seal-digest")
def signing_time_changed(workshop: Workshop) -> bytes:
    """The signing time is moved."""
    root = workshop.tree()
    first(root, "xades:SigningTime").text = "2020-01-01T00:00:00Z"
    return written(root)


@refused_as("seal-form")
def signing_time_without_zone(workshop: Workshop) -> bytes:
    """A signing time that names no instant; signed by the right key."""
    root = workshop.tree()
    first(root, "xades:SigningTime").text = "2026-11-21T08:30:00"
    return resigned(root, workshop.g22.private_key)
