"""A signature is known by its text where we wrote it, and walked where another did: what it says is the same."""

from __future__ import annotations

import re

import pytest
from lxml import etree

from certs.canonical import canonical
from certs.errors import SEAL_FAULTS
from certs.sealing import SEAL_PARENTS, seal
from certs.signature_reader import open_signature
from certs.signature_text import SignatureText
from certs.signature_values import signature_values
from schemas.limits import DEFAULT_LIMITS
from schemas.xml import Element, parse
from tests.vectors.workshop import AT, Workshop, envelope_from, first


def sealed_by(workshop: Workshop, kind: str) -> bytes:
    key = workshop.g22 if kind == "rsa" else workshop.key_of(envelope_from().message.sender.organ_id, workshop.national)
    return seal(envelope_from(), key, AT).data


def signature_in(data: bytes) -> Element:
    return first(parse(data, DEFAULT_LIMITS), "ds:Signature")


def in_other_words(data: bytes) -> bytes:
    """The same signature as another program might write it: other prefixes, and base64 in lines."""
    for prefix in (b"ds", b"xades"):
        data = re.sub(rb"(</?|xmlns:)%s([:=])" % prefix, rb"\1x%s\2" % prefix, data)
    return re.sub(rb"(<xds:SignatureValue>.{10})", rb"\1\n ", data)


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_what_we_write_is_known_by_its_text(workshop: Workshop, kind: str) -> None:
    """Or every seal would be walked, which costs eight times as much and is seen nowhere else."""
    written = canonical(signature_in(sealed_by(workshop, kind)))
    text = SignatureText.read(written)
    assert text is not None
    assert str(text).encode() == written


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_text_and_walk_find_the_same_values(workshop: Workshop, kind: str) -> None:
    """Of a signature in other words every value is the same, but for SignedInfo and SignedProperties as written."""
    data = sealed_by(workshop, kind)
    signature, foreign = signature_in(data), signature_in(in_other_words(data))
    assert SignatureText.read(canonical(foreign)) is None
    known, walked = (signature_values(each, SEAL_FAULTS) for each in (signature, foreign))
    assert (known.signed_info, known.signed_properties) == (canonical(signature[0]), canonical(signature[3][0][0]))
    assert (walked.signed_info, walked.signed_properties) == (canonical(foreign[0]), canonical(foreign[3][0][0]))
    names = ("method", "content", "properties", "value", "certificates", "certificate", "signing_time")
    assert [getattr(known, name) for name in names] == [getattr(walked, name) for name in names]


@pytest.mark.parametrize("at", ["SignatureValue", "X509Certificate", "DigestValue"])
def test_base64_that_is_cut_short_is_not_read_otherwise_by_its_text(workshop: Workshop, at: str) -> None:
    """What only looks like base64 is walked, and refused there by its rule."""
    root = workshop.tree()
    element = next(root.iter(f"{{*}}{at}"))
    element.text = (element.text or "").rstrip("\n=")[:-1]
    with pytest.raises(SEAL_FAULTS.family) as refusal:
        open_signature(etree.fromstring(etree.tostring(root)), SEAL_PARENTS, SEAL_FAULTS)
    assert refusal.value.code == ("seal-key-info" if at == "X509Certificate" else "seal-form")
    assert (refusal.value.element or "").endswith(at)
