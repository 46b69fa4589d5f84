"""What sealing makes: bytes that other verifiers accept, and an identity that depends on the content alone."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509 import BasicConstraints
from cryptography.x509.verification import Criticality, ExtensionPolicy
from hypothesis import HealthCheck, given, settings
from lxml import etree
from signxml.xades.xades import XAdESSignatureConfiguration, XAdESVerifier, XAdESVerifyResult

from certs.errors import KeyRejected, SealRejected
from certs.keys import PrivateKey, new_p256_key, new_rsa_key, write_certificates, write_key
from certs.sealing import SEAL_PARENTS, SealingKey, load_sealing_key, seal
from certs.signature_profile import ds
from certs.unsealing import open_seal, unseal
from schemas.envelope import Envelope
from schemas.errors import Rejected
from schemas.travel import write_envelope
from tests.certs import xmlsec
from tests.certs.signxml_signer import signature_by_signxml
from tests.schemas.strategies import envelopes
from tests.vectors.workshop import AT, G22, Workshop, envelope_from, first, show_chain, written


@pytest.fixture(scope="module", params=["rsa-2048", "rsa-3072", "p-256"])
def key(request: pytest.FixtureRequest, workshop: Workshop) -> SealingKey:
    """A key of each kind that may seal for G22."""
    return workshop.key_of(G22, workshop.national, new_p256_key() if request.param == "p-256" else _rsa(request.param))


def _rsa(kind: str) -> PrivateKey:
    return new_rsa_key(int(kind.removeprefix("rsa-")))


def test_libxmlsec_accepts_a_seal(workshop: Workshop, key: SealingKey, tmp_path: Path) -> None:
    """An implementation that shares no code with ours verifies the seal of each kind of key, chain included."""
    sealed = seal(envelope_from(), key, AT)
    assert xmlsec.verifies(sealed.data, workshop.national.root, AT, tmp_path)


def test_libxmlsec_refuses_what_was_changed(workshop: Workshop, key: SealingKey, tmp_path: Path) -> None:
    """The second opinion is one: a changed message, changed properties and a foreign root are refused by it."""
    data = seal(envelope_from(), key, AT).data
    assert not xmlsec.verifies(data.replace(b"6101_VPCP", b"6102_VPCP"), workshop.national.root, AT, tmp_path)
    assert not xmlsec.verifies(data.replace(b"T08:30:00Z<", b"T08:31:00Z<"), workshop.national.root, AT, tmp_path)
    assert not xmlsec.verifies(data, workshop.foreign.root, AT, tmp_path)


@given(envelope=envelopes())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_libxmlsec_accepts_every_seal(workshop: Workshop, tmp_path: Path, envelope: Envelope) -> None:
    """Whatever a message holds, its canonical form is the same for libxmlsec as for us."""
    sealed = seal(envelope, workshop.g22, AT)
    assert xmlsec.verifies(sealed.data, workshop.national.root, AT, tmp_path)


def test_signxml_finds_the_seal_a_full_xades_signature(workshop: Workshop, key: SealingKey, tmp_path: Path) -> None:
    """signxml's XAdES verifier, with both XSDs and the certificate path, agrees on what was signed."""
    write_certificates(tmp_path / "root.pem", [workshop.national.root])
    data = seal(envelope_from(), key, AT).data
    content, properties = XAdESVerifier().verify(
        data,
        ca_pem_file=str(tmp_path / "root.pem"),
        expect_config=XAdESSignatureConfiguration(expect_references=2, verification_time=AT),
        # signxml's own policy is the web's, and asks authorities for TLS purposes.
        ca_policy=ExtensionPolicy.permit_all().require_present(BasicConstraints, Criticality.AGNOSTIC, None),
    )
    assert isinstance(properties, XAdESVerifyResult)
    assert content.signed_xml is not None
    assert content.signed_xml.tag.endswith("}edXML")
    assert first(properties.signed_properties, "xades:SigningTime").text == "2026-11-21T08:30:00Z"


@given(envelope=envelopes())
@settings(max_examples=40, deadline=None)
def test_what_was_sealed_is_what_is_unsealed(workshop: Workshop, envelope: Envelope) -> None:
    """Every element, every character and every absence comes back as it was sealed, and under the same id."""
    sealed = seal(envelope, workshop.g22, AT)
    # Whatever code was drawn for the sender, the directory knows it as an older one of G22.
    message = open_seal(sealed.data).bind(workshop.trust.anchors, workshop.binding_of(G22), AT)
    assert (message.value, message.message_id) == (envelope, sealed.message_id)


def test_bytes_outside_the_signature_stay_as_they_were(workshop: Workshop) -> None:
    """Taking the Signature out of the sealed bytes gives the unsigned bytes, each and every one."""
    unsigned = write_envelope(envelope_from())
    sealed = seal(unsigned, workshop.g22, AT).data
    assert re.sub(rb"<ds:Signature .*</ds:Signature>", b"", sealed, flags=re.DOTALL) == unsigned


def test_a_signature_brings_only_namespaces_that_it_uses(workshop: Workshop) -> None:
    """The Signature can be cut out and verified elsewhere, and no declaration of the message is repeated in it."""
    signature = workshop.good[workshop.good.index(b"<ds:Signature") : workshop.good.index(b"</ds:Signature>")]
    assert set(re.findall(rb'xmlns:?(\w*)="', signature)) == {b"ds", b"xades"}


def test_signxml_writes_the_same_signature(workshop: Workshop) -> None:
    """What we write as text is, to the byte, what signxml builds as a tree and libxml2 canonicalises."""
    unsigned = write_envelope(envelope_from())
    by_signxml = signature_by_signxml(unsigned, "/".join(SEAL_PARENTS), workshop.g22, AT)
    assert by_signxml in seal(unsigned, workshop.g22, AT).data


def test_a_signature_is_written_in_canonical_form(workshop: Workshop, key: SealingKey) -> None:
    """By a key of any kind: the Signature stands in the bytes as libxml2 canonicalises it."""
    data = seal(envelope_from(), key, AT).data
    signature = first(etree.fromstring(data), "ds:Signature")
    assert etree.tostring(signature, method="c14n", exclusive=True) in data


def test_sealing_an_envelope_or_its_bytes_is_the_same(workshop: Workshop) -> None:
    """RSA with PKCS #1 v1.5 leaves nothing to chance, so both ways give equal bytes."""
    assert seal(envelope_from(), workshop.g22, AT) == seal(write_envelope(envelope_from()), workshop.g22, AT)


def test_the_id_is_the_digest_that_the_signature_carries(workshop: Workshop) -> None:
    """The message id is DigestValue in hex, so that everybody can read it off the bytes."""
    sealed = seal(envelope_from(), workshop.g22, AT)
    written_digest = first(etree.fromstring(sealed.data), "ds:DigestValue").text or ""
    assert sealed.message_id == base64.b64decode(written_digest).hex()


def test_sealing_again_gives_the_same_id(workshop: Workshop, key: SealingKey) -> None:
    """Another key, another certificate and another time change the bytes and not the identity."""
    at_first = seal(envelope_from(), workshop.g22, AT)
    again = seal(envelope_from(), key, AT + timedelta(hours=3))
    assert again.data != at_first.data
    assert again.message_id == at_first.message_id


def test_other_content_gives_another_id(workshop: Workshop) -> None:
    """One word more makes another message."""
    one, other = (seal(envelope_from(subject=subject), workshop.g22, AT) for subject in ("V/v họp", "V/v họp gấp"))
    assert one.message_id != other.message_id


def _white_space_in_tags(data: bytes) -> bytes:
    return re.sub(rb"<(/?[A-Za-z:]+)(>|/>)", rb"<\1 \n \2", data)


def _key_info_in_another_order(data: bytes) -> bytes:
    root = etree.fromstring(data)
    container = first(root, "ds:X509Data")
    container[:] = reversed(container)
    return written(root)


def _key_info_twice(data: bytes) -> bytes:
    root = etree.fromstring(data)
    container = first(root, "ds:X509Data")
    for element in list(container):
        etree.SubElement(container, ds("X509Certificate")).text = element.text
    return written(root)


def _signature_indented(data: bytes) -> bytes:
    root = etree.fromstring(data)
    etree.indent(first(root, "ds:KeyInfo"))
    return written(root)


def _attributes_in_another_order(data: bytes) -> bytes:
    return re.sub(rb'<ds:Reference (Type="[^"]*") (URI="[^"]*")>', rb"<ds:Reference \2 \1>", data)


def _prefixes_redeclared(data: bytes) -> bytes:
    return data.replace(b"<ds:KeyInfo>", b'<ds:KeyInfo xmlns:unused="urn:unused">')


@pytest.mark.parametrize(
    "rewritten",
    [
        _white_space_in_tags,
        _key_info_in_another_order,
        _key_info_twice,
        _signature_indented,
        _attributes_in_another_order,
        _prefixes_redeclared,
    ],
)
def test_what_the_signature_does_not_cover_makes_no_second_message(
    workshop: Workshop, rewritten: Callable[[bytes], bytes]
) -> None:
    """Other bytes of the same message are accepted, under the same id and with the same content."""
    genuine = unseal(workshop.good, workshop.trust, AT)
    data = rewritten(workshop.good)
    again = unseal(data, workshop.trust, AT)
    assert data != workshop.good
    assert (again.message_id, again.value, again.data) == (genuine.message_id, genuine.value, data)


def test_another_certificate_for_the_same_key_makes_no_second_message(workshop: Workshop) -> None:
    """A renewed certificate changes the seal and not the identity."""
    renewed = workshop.key_of(G22, workshop.national, workshop.g22.private_key)
    assert renewed.fingerprint != workshop.g22.fingerprint
    again = unseal(seal(envelope_from(), renewed, AT).data, workshop.trust, AT)
    assert again.message_id == unseal(workshop.good, workshop.trust, AT).message_id
    assert again.signer_fingerprint == renewed.fingerprint


def test_a_certificate_more_in_key_info_changes_nothing(workshop: Workshop) -> None:
    """A needless certificate in KeyInfo, even somebody else's, decides nothing."""
    root = workshop.tree()
    stranger = workshop.key_of(G22, workshop.foreign)
    show_chain(first(root, "ds:Signature"), (stranger.certificate, *workshop.g22.certificates))
    again = unseal(written(root), workshop.trust, AT)
    assert again.signer_fingerprint == workshop.g22.fingerprint


def test_what_is_sealed_is_not_sealed_again(workshop: Workshop) -> None:
    """Bytes that carry a Signature are refused, for two signatures would be one too many."""
    with pytest.raises(SealRejected) as refusal:
        seal(workshop.good, workshop.g22, AT)
    assert refusal.value.code == "seal-doubled"


def test_what_nobody_could_read_is_not_sealed(workshop: Workshop) -> None:
    """Bytes that break a rule of the form are refused before a key touches them."""
    with pytest.raises(Rejected) as refusal:
        seal(write_envelope(envelope_from()).replace(b">G22<", b">g22<", 1), workshop.g22, AT)
    assert refusal.value.code == "malformed-code"


def test_a_signing_time_without_a_zone_is_no_time(workshop: Workshop) -> None:
    """A naive datetime is a mistake of the caller, not local time."""
    with pytest.raises(ValueError, match="naive"):
        seal(envelope_from(), workshop.g22, datetime(2026, 11, 21))  # noqa: DTZ001 - the mistake that is tested


def test_a_sealing_key_shows_no_secret(workshop: Workshop) -> None:
    """Neither repr nor str of a key that lands in a log gives anything of the private half."""
    assert "private" not in repr(workshop.g22)
    assert "RSAPrivateKey" not in f"{workshop.g22}"


def test_a_sealing_key_needs_its_own_certificate(workshop: Workshop) -> None:
    """A key beside another's certificate is refused when it is put together, not when seals fail."""
    with pytest.raises(KeyRejected) as refusal:
        SealingKey(new_p256_key(), workshop.g22.certificates)
    assert refusal.value.code == "key-mismatch"


def test_a_sealing_key_is_loaded_from_its_files(workshop: Workshop, tmp_path: Path) -> None:
    """The chain file may end in the root, which does not travel."""
    write_key(tmp_path / "seal.key", workshop.g22.private_key, "mật khẩu".encode())
    write_certificates(tmp_path / "seal.pem", [*workshop.g22.certificates, workshop.national.root])
    loaded = load_sealing_key(tmp_path / "seal.key", tmp_path / "seal.pem", "mật khẩu".encode())
    assert loaded.certificates == workshop.g22.certificates
    assert seal(envelope_from(), loaded, AT) == seal(envelope_from(), workshop.g22, AT)


def test_a_wrong_pair_of_files_is_named(workshop: Workshop, tmp_path: Path) -> None:
    """Whoever mixes up two files reads which two."""
    write_key(tmp_path / "seal.key", new_p256_key(), None)
    write_certificates(tmp_path / "seal.pem", workshop.g22.certificates)
    with pytest.raises(KeyRejected) as refusal:
        load_sealing_key(tmp_path / "seal.key", tmp_path / "seal.pem", None)
    assert "seal.key" in str(refusal.value)
    assert "seal.pem" in str(refusal.value)
