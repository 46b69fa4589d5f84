"""Our check of a signature beside signxml's, which knows every form of XML signature and shares no code with it."""

from __future__ import annotations

import base64
import contextlib

import pytest
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import InvalidSignature, SignXMLException
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from certs.errors import SEAL_FAULTS, SealRejected
from certs.keys import parse_certificate
from certs.sealing import SEAL_PARENTS, SealingKey, seal
from certs.signature_reader import open_signature
from schemas.errors import Rejected
from schemas.limits import DEFAULT_LIMITS
from schemas.xml import parse
from tests.vectors.attacks import ATTACKS, Attack
from tests.vectors.workshop import AT, Workshop, envelope_from, first


def opinion_of_signxml(data: bytes) -> bytes | None:
    """What signxml finds signed by the first certificate that the Signature brings; None if it does not hold."""
    try:
        certificate = etree.fromstring(data).findtext(".//{*}X509Certificate") or ""
        signer = parse_certificate(base64.b64decode(certificate))
        results = XMLVerifier().verify(
            data,
            x509_cert=signer,
            id_attribute="Id",
            expect_config=SignatureConfiguration(
                location="/".join((".", *SEAL_PARENTS, "")),
                expect_references=2,
                signature_methods=frozenset({SignatureMethod.RSA_SHA256, SignatureMethod.ECDSA_SHA256}),
                digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
                verification_time=signer.not_valid_before_utc,
            ),
        )
    except (SignXMLException, InvalidSignature, etree.LxmlError, ValueError):
        return None
    assert isinstance(results, list)
    content: VerifyResult = results[0]
    return content.signed_data


def our_opinion(data: bytes) -> bytes | None:
    """The canonical form of what we find signed; None if any rule of the reader's is broken."""
    try:
        return open_signature(parse(data, DEFAULT_LIMITS), SEAL_PARENTS, SEAL_FAULTS).content
    except Rejected:
        return None


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_what_signxml_refuses_is_refused(workshop: Workshop, attack: Attack) -> None:
    """Of no forgery do we take a signature for good that signxml does not, and both find the same bytes signed."""
    forged = attack.forge(workshop)
    ours = our_opinion(forged)
    assert ours is None or ours == opinion_of_signxml(forged)


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_both_find_the_same_signed(workshop: Workshop, kind: str) -> None:
    """For either kind of key, what we find signed is what signxml does, to the byte."""
    key = workshop.g22 if kind == "rsa" else _p256(workshop)
    data = seal(envelope_from(), key, AT).data
    assert our_opinion(data) == opinion_of_signxml(data) is not None


@pytest.mark.parametrize("place", range(8))
def test_a_changed_signature_value_is_refused_by_both(workshop: Workshop, place: int) -> None:
    """Whichever byte of r or s is another, of its first or its last, the signature does not hold."""
    root = etree.fromstring(seal(envelope_from(), _p256(workshop), AT).data)
    value = first(root, "ds:SignatureValue")
    octets = bytearray(base64.b64decode(value.text or ""))
    octets[place * 9] ^= 1
    value.text = base64.b64encode(octets).decode()
    changed = etree.tostring(root)
    assert (our_opinion(changed), opinion_of_signxml(changed)) == (None, None)


@pytest.mark.parametrize("octets", [b"", b"\0" * 63, b"\0" * 64, b"\0" * 65, b"\xff" * 64])
def test_an_ecdsa_value_that_is_no_pair_is_refused(workshop: Workshop, octets: bytes) -> None:
    """Too short, too long, zero, beyond the order of the curve: refused as a signature, never as a fault of ours."""
    root = etree.fromstring(seal(envelope_from(), _p256(workshop), AT).data)
    first(root, "ds:SignatureValue").text = base64.b64encode(octets).decode()
    with pytest.raises(SealRejected) as refusal:
        open_signature(root, SEAL_PARENTS, SEAL_FAULTS)
    assert refusal.value.code == ("seal-signature" if octets else "seal-form")


@pytest.mark.parametrize("tail", ["\n", "  ", "một", None])
def test_text_behind_a_signature_is_signed(workshop: Workshop, tail: str | None) -> None:
    """The enveloped-signature transform takes the element alone: text behind it counts, and is put back."""
    root = workshop.tree()
    first(root, "ds:Signature").tail = tail
    written = etree.tostring(root)
    assert (our_opinion(written) is None) is (opinion_of_signxml(written) is None) is (tail is not None)
    with pytest.raises(SealRejected) if tail else contextlib.nullcontext():
        open_signature(root, SEAL_PARENTS, SEAL_FAULTS)
    assert etree.tostring(root) == written


def _p256(workshop: Workshop) -> SealingKey:
    return workshop.key_of(envelope_from().message.sender.organ_id, workshop.national)
