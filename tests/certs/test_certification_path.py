"""Paths are found once and remembered truly."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from cryptography import x509

from certs import certification_path
from certs.certificate_profiles import root_profile
from certs.certification_path import CertificationPath, CertificationPaths
from certs.errors import SEAL_FAULTS
from certs.keys import new_p256_key
from certs.usage import DIRECTORY, RECEIPTS, SEALS, Usage
from schemas.errors import Rejected
from tests.vectors.attacks.certificates import Extensions, as_seal, key_usage
from tests.vectors.workshop import AT, G22, Workshop, unrestricted_chain


def find(
    paths: CertificationPaths,
    chain: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    usage: Usage = SEALS,
    at: datetime = AT,
) -> CertificationPath:
    """The path of `chain`'s leaf."""
    return paths.find(chain[0], chain[1:], anchors, usage=usage, at=at, faults=SEAL_FAULTS)


def test_a_path_leads_from_leaf_to_anchor(workshop: Workshop) -> None:
    """The path is the whole one, and valid as long as all of it is."""
    path = find(CertificationPaths(), workshop.g22.certificates, [workshop.foreign.root, workshop.national.root])
    assert path.certificates == (*workshop.g22.certificates, workshop.national.root)
    assert path.anchor == workshop.national.root
    assert path.not_after == workshop.g22.certificate.not_valid_after_utc
    assert path.not_before == max(certificate.not_valid_before_utc for certificate in path.certificates)


def test_a_path_is_looked_for_once(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thousandth envelope of a connection does not pay for its certificate's path again."""
    paths = CertificationPaths()
    first = find(paths, workshop.g22.certificates, [workshop.national.root])
    monkeypatch.setattr(certification_path, "_verified_chain", _never)
    assert find(paths, workshop.g22.certificates, [workshop.national.root], at=AT + timedelta(days=1)) is first


def test_another_question_is_not_answered_from_memory(workshop: Workshop) -> None:
    """Other anchors, another use, fewer certificates on the way: each is judged by itself."""
    paths = CertificationPaths()
    find(paths, workshop.g22.certificates, [workshop.national.root])
    for chain, anchors, usage in (
        (workshop.g22.certificates, [workshop.foreign.root], SEALS),
        (workshop.g22.certificates, [workshop.national.root], RECEIPTS),
        (workshop.g22.certificates[:1], [workshop.national.root], SEALS),
    ):
        with pytest.raises(Rejected):
            find(paths, chain, anchors, usage)


def test_memory_has_a_bound(workshop: Workshop) -> None:
    """The oldest path is forgotten, and found again when asked for."""
    paths = CertificationPaths(capacity=2)
    chains = [workshop.key_of(G22, workshop.national).certificates for _ in range(3)]
    found = [find(paths, chain, [workshop.national.root]) for chain in chains]
    assert len(paths._found) == 2
    assert find(paths, chains[2], [workshop.national.root]) is found[2]
    assert find(paths, chains[0], [workshop.national.root]) is not found[0]


@pytest.mark.parametrize(("usage", "kind"), [(SEALS, "seal"), (RECEIPTS, "receipts"), (DIRECTORY, "directory")])
def test_a_certificate_is_for_one_use(workshop: Workshop, usage: Usage, kind: str) -> None:
    """Of all that the authority issues, each use takes its own kind and no other."""
    key, national = new_p256_key().public_key(), workshop.national
    issued = {
        "server": national.issue_server(key, ["127.0.0.2"], AT),
        "client": national.issue_client(key, "c-1", AT),
        "seal": national.issue_seal(key, "c-1", [G22], AT),
        "receipts": national.issue_receipts(key, "hub", AT),
        "directory": national.issue_directory(key, "hub", AT),
    }
    taken = set()
    for name, chain in issued.items():
        try:
            find(CertificationPaths(), chain, [national.root], usage)
        except Rejected as refusal:
            assert refusal.code == "seal-certificate-usage"  # noqa: PT017 - which of the five is taken is the assertion
            continue
        taken.add(name)
    assert taken == {kind}


@pytest.mark.parametrize("usage", [RECEIPTS, DIRECTORY])
def test_receipts_and_the_directory_need_a_stated_use(workshop: Workshop, usage: Usage) -> None:
    """A certificate silent about its use, which would do for a seal, does not sign in the hub's name."""
    key, issuing = new_p256_key(), workshop.national.seals
    silent = unrestricted_chain((issuing.certificate,), issuing.key, key, extensions=((key_usage(), True),))
    assert find(CertificationPaths(), silent, [workshop.national.root]).anchor == workshop.national.root
    with pytest.raises(Rejected) as refusal:
        find(CertificationPaths(), silent, [workshop.national.root], usage)
    assert refusal.value.code == "seal-certificate-usage"


@pytest.mark.parametrize("usage", [SEALS, RECEIPTS, DIRECTORY])
def test_the_authority_for_tls_vouches_for_no_signer(workshop: Workshop, usage: Usage) -> None:
    """Who may issue for TLS alone cannot make a key for anything else, whatever the leaf says."""
    key, issuing = new_p256_key(), workshop.national.tls
    extensions = ((key_usage(), True), (x509.ExtendedKeyUsage([usage.purpose]), True))
    chain = unrestricted_chain((issuing.certificate,), issuing.key, key, extensions=extensions)
    with pytest.raises(Rejected) as refusal:
        find(CertificationPaths(), chain, [workshop.national.root], usage)
    assert refusal.value.code == "seal-certificate-untrusted"


@pytest.mark.parametrize(
    ("extensions", "taken"),
    [
        (((x509.BasicConstraints(ca=True, path_length=0), True), (key_usage(key_cert_sign=True), True)), True),
        (((x509.BasicConstraints(ca=True, path_length=None), False),), True),
        (((x509.BasicConstraints(ca=False, path_length=None), True), (key_usage(key_cert_sign=True), True)), False),
        (((x509.BasicConstraints(ca=True, path_length=0), True), (key_usage(), True)), False),
        (((key_usage(key_cert_sign=True), True),), False),
        ((), False),
    ],
    ids=["authority", "silent about key usage", "not an authority", "must not sign", "does not say", "says nothing"],
)
def test_only_an_authority_stands_above(extensions: Extensions, *, taken: bool) -> None:
    """Whoever issues must be an authority by its own certificate and be allowed to sign others."""
    root_key, issuing_key, key = new_p256_key(), new_p256_key(), new_p256_key()
    root = root_profile(root_key, "Root", now=AT, lifetime=timedelta(days=1000))
    issuing = unrestricted_chain((root,), root_key, issuing_key, extensions=extensions, name="Issuing")
    chain = unrestricted_chain(issuing[:1], issuing_key, key, extensions=as_seal())
    if taken:
        assert find(CertificationPaths(), chain, [root]).anchor == root
    else:
        with pytest.raises(Rejected) as refusal:
            find(CertificationPaths(), chain, [root])
        assert refusal.value.code == "seal-certificate-untrusted"


def _never(*_: object) -> list[x509.Certificate]:
    raise AssertionError("the path was looked for again")
