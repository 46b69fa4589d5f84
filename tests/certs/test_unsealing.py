"""Who may speak for the agency in From, and when."""

from __future__ import annotations

import ast
import dataclasses
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.errors import SealRejected
from certs.keys import fingerprint, new_p256_key
from certs.sealing import SealingKey, seal
from certs.trust import SignerBinding, Trust, TrustAnchor
from certs.unsealing import open_seal, unseal
from certs.verified import Verified
from schemas.codes import AgencyCode
from schemas.directory import EntryStatus
from schemas.errors import LimitExceeded, Rejected
from schemas.limits import Limits
from tests.vectors.attacks.certificates import as_seal, key_usage
from tests.vectors.workshop import AT, G22, H23, Workshop, envelope_from, unrestricted_chain

OLDER_H23 = AgencyCode("000.00.00.H23")


def refusal_of(data: bytes, trust: Trust, at: datetime = AT) -> str:
    """The code with which `data` is refused."""
    with pytest.raises(SealRejected) as refusal:
        unseal(data, trust, at)
    return refusal.value.code


def test_a_verified_envelope_carries_what_was_signed_and_by_whom(workshop: Workshop) -> None:
    """Value, bytes, id, signer and claimed time come out together."""
    sealed = seal(envelope_from(), workshop.g22, AT)
    opened = unseal(sealed.data, workshop.trust, AT + timedelta(hours=1))
    assert opened.value == envelope_from()
    assert (opened.data, opened.message_id) == (sealed.data, sealed.message_id)
    assert (opened.signer_fingerprint, opened.signed_at) == (workshop.g22.fingerprint, AT)


def test_an_opened_seal_gives_only_what_the_directory_is_asked_for(workshop: Workshop) -> None:
    """Before the signer is bound, nobody can take the envelope out by an ordinary name."""
    opened = open_seal(workshop.good)
    assert {field.name for field in dataclasses.fields(opened) if not field.name.startswith("_")} == {
        "sender",
        "message_id",
        "certificate_fingerprint",
    }
    assert (opened.sender, opened.certificate_fingerprint) == (G22, workshop.g22.fingerprint)
    assert "V/v" not in repr(opened)


def test_nobody_else_makes_a_verified_value(workshop: Workshop) -> None:
    """Neither the constructor nor a copy with another value gives a Verified outside certs."""
    genuine = unseal(workshop.good, workshop.trust, AT)
    with pytest.raises(TypeError, match="certs alone"):
        Verified("anything", b"", "0" * 64, "0" * 64, AT)
    with pytest.raises(TypeError, match="certs alone"):
        dataclasses.replace(genuine, value=envelope_from(H23))


def test_only_certs_vouches_for_values() -> None:
    """No module outside certs imports the function that makes a Verified."""
    project = Path(__file__).parents[2]
    packages = ("adapters", "congvan", "hub", "node", "runtime", "schemas", "transport")
    modules = [path for package in packages for path in (project / package).rglob("*.py")]
    assert len(modules) > 50
    for path in modules:
        for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(statement, ast.ImportFrom) and statement.module == "certs.verified":
                assert [name.name for name in statement.names] == ["Verified"], path


def test_limits_bound_what_is_parsed(workshop: Workshop) -> None:
    """An envelope above the caller's limits is refused before any signature is looked at."""
    with pytest.raises(LimitExceeded):
        unseal(workshop.good, workshop.trust, AT, Limits(envelope_bytes=1000))


@pytest.mark.parametrize(("status", "code"), [("suspended", "agency-suspended"), ("retired", "agency-retired")])
def test_an_agency_that_takes_no_part_is_not_heard(workshop: Workshop, status: str, code: str) -> None:
    """Suspension and retirement in the directory refuse every seal, however good."""
    binding = dataclasses.replace(_known(workshop, G22), status=EntryStatus(status))
    assert refusal_of(workshop.good, Trust(workshop.trust.anchors, lambda _: binding)) == code


def test_an_older_code_in_from_is_looked_up_as_it_stands(workshop: Workshop) -> None:
    """The directory is asked for the older code, and its anchor must hold for the agency's code of today."""
    key = workshop.key_of(H23, workshop.provincial)
    asked = []

    def binding_of(code: AgencyCode) -> SignerBinding | None:
        asked.append(code)
        return _known(workshop, H23)

    opened = unseal(seal(envelope_from(OLDER_H23), key, AT).data, Trust(workshop.trust.anchors, binding_of), AT)
    assert asked == [OLDER_H23]
    assert opened.value.sender == OLDER_H23


def test_an_older_code_does_not_lead_around_the_prefix(workshop: Workshop) -> None:
    """A province's authority cannot speak for G22 under an older code that the directory relates to G22."""
    key = workshop.key_of(G22, workshop.provincial)
    data = seal(envelope_from(AgencyCode("000.00.00.G22")), key, AT).data
    trust = Trust(workshop.trust.anchors, lambda _: _known(workshop, G22))
    assert refusal_of(data, trust) == "anchor-prefix"


def test_an_anchor_holds_for_its_prefix_and_below(workshop: Workshop) -> None:
    """An authority for H23.1 is believed for H23.1.5, and not for H23.12, which only begins with the same letters."""
    key = workshop.key_of(H23, workshop.provincial)
    known = Trust(
        (TrustAnchor(workshop.provincial.root, ("H23.1",)),),
        lambda code: SignerBinding(code, EntryStatus.ACTIVE, frozenset({key.fingerprint})),
    )
    below, beside = AgencyCode("H23.1.5"), AgencyCode("H23.12")
    assert unseal(seal(envelope_from(below), key, AT).data, known, AT).value.sender == below
    assert refusal_of(seal(envelope_from(beside), key, AT).data, known) == "anchor-prefix"


def test_an_anchor_of_many_prefixes_holds_for_each(workshop: Workshop) -> None:
    """One authority may serve several provinces."""
    key = workshop.key_of(G22, workshop.provincial)
    anchors = (TrustAnchor(workshop.provincial.root, ("H23", "G22")),)
    assert unseal(seal(envelope_from(), key, AT).data, Trust(anchors, workshop.binding_of), AT).value.sender == G22


def test_a_withdrawn_anchor_holds_for_nothing(workshop: Workshop) -> None:
    """An anchor without prefixes refuses what it vouched for."""
    anchors = (TrustAnchor(workshop.national.root, ()),)
    assert refusal_of(workshop.good, Trust(anchors, workshop.binding_of)) == "anchor-prefix"


def test_without_anchors_nothing_is_trusted(workshop: Workshop) -> None:
    """An empty directory trusts nobody."""
    assert refusal_of(workshop.good, Trust((), workshop.binding_of)) == "seal-certificate-untrusted"


def test_the_time_asked_for_decides(workshop: Workshop) -> None:
    """A certificate counts from its first second to its last, at the time given and not at the machine's."""
    leaf = workshop.g22.certificate
    first, last = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    assert unseal(workshop.good, workshop.trust, first).message_id
    assert unseal(workshop.good, workshop.trust, last).message_id
    second = timedelta(seconds=1)
    assert refusal_of(workshop.good, workshop.trust, first - second) == "seal-certificate-not-yet-valid"
    assert refusal_of(workshop.good, workshop.trust, last + second) == "seal-certificate-expired"


def test_a_time_is_an_instant_in_any_zone(workshop: Workshop) -> None:
    """The same instant told in Hanoi's time gives the same answer, where wall clocks would differ."""
    chain = workshop.national.issue_seal(new_p256_key().public_key(), "x", [], AT)
    until = chain[0].not_valid_after_utc
    hanoi = timezone(timedelta(hours=7))
    key = workshop.key_of(G22, workshop.national)
    data = seal(envelope_from(), key, AT).data
    assert unseal(data, workshop.trust, (until - timedelta(hours=1)).astimezone(hanoi)).message_id
    assert (
        refusal_of(data, workshop.trust, (until + timedelta(hours=1)).astimezone(hanoi)) == "seal-certificate-expired"
    )


def test_a_certificate_of_another_authority_may_be_silent_about_seals(workshop: Workshop) -> None:
    """Seal certificates of other authorities carry no usage of ours; without one for TLS they are taken."""
    for extensions in (
        ((key_usage(), True),),
        ((key_usage(), True), (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)),
    ):
        private, issuing = new_p256_key(), workshop.national.seals
        chain = unrestricted_chain((issuing.certificate,), issuing.key, private, extensions=extensions)
        workshop.bind(G22, chain)
        data = seal(envelope_from(), SealingKey(private, chain), AT).data
        assert unseal(data, workshop.trust, AT).signer_fingerprint == fingerprint(chain[0])


def test_an_agencys_own_certificate_can_be_the_anchor(workshop: Workshop) -> None:
    """An operator may trust one certificate alone, and nothing of the authority that issued it."""
    private, issuing = new_p256_key(), workshop.foreign.seals
    chain = unrestricted_chain((issuing.certificate,), issuing.key, private, extensions=as_seal())
    workshop.bind(G22, chain)
    anchors = (TrustAnchor(chain[0], ("G22",)),)
    data = seal(envelope_from(), SealingKey(private, chain[:1]), AT).data
    assert unseal(data, Trust(anchors, workshop.binding_of), AT).value.sender == G22
    other = seal(envelope_from(), workshop.key_of(G22, workshop.foreign), AT).data
    assert refusal_of(other, Trust(anchors, workshop.binding_of)) == "seal-certificate-untrusted"


def test_a_key_whose_certificate_lapses_is_refused_though_it_was_accepted_before(workshop: Workshop) -> None:
    """What is remembered of a certificate's path never outlives the certificate, nor reaches back before it."""
    key = workshop.key_of(G22, workshop.national, now=AT - timedelta(days=30))
    data = seal(envelope_from(), key, AT).data
    assert unseal(data, workshop.trust, AT).message_id
    assert refusal_of(data, workshop.trust, AT + timedelta(days=4 * 365)) == "seal-certificate-expired"
    assert refusal_of(data, workshop.trust, AT - timedelta(days=31)) == "seal-certificate-not-yet-valid"
    assert unseal(data, workshop.trust, AT).message_id


def test_every_refusal_says_where_and_what_to_do(workshop: Workshop) -> None:
    """A refusal names the element it is about, and its mend."""
    root_moved = workshop.good.replace(b"T08:30:00Z<", b"T08:30:00<")
    with pytest.raises(Rejected) as refusal:
        unseal(root_moved, workshop.trust, AT)
    assert refusal.value.mend
    binding = dataclasses.replace(_known(workshop, G22), status=EntryStatus.SUSPENDED)
    with pytest.raises(Rejected) as refusal:
        unseal(workshop.good, Trust(workshop.trust.anchors, lambda _: binding), AT)
    assert refusal.value.element == "MessageHeader/From/OrganId"


def _known(workshop: Workshop, code: AgencyCode) -> SignerBinding:
    binding = workshop.binding_of(code)
    assert binding is not None
    return binding
