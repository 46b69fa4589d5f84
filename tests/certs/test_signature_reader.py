"""The reader of signatures by itself, where no schema of the caller has looked before."""

from __future__ import annotations

from copy import deepcopy

import pytest
from lxml import etree

from certs.errors import SEAL_FAULTS, SealRejected
from certs.sealing import SEAL_PARENTS
from certs.signature_profile import MAXIMUM_CERTIFICATES
from certs.signature_reader import open_signature
from schemas.xml import Element
from tests.vectors.workshop import AT, Workshop, first, resigned, show_chain


def refusal_of(root: Element) -> str:
    with pytest.raises(SealRejected) as refusal:
        open_signature(root, SEAL_PARENTS, SEAL_FAULTS)
    return refusal.value.code


def test_two_signatures_are_refused(workshop: Workshop) -> None:
    """Wherever the second one stands, even far from the first."""
    root = workshop.tree()
    first(root, "q:edXMLBody").append(deepcopy(first(root, "ds:Signature")))
    assert refusal_of(root) == "seal-doubled"


def test_a_signature_that_is_not_last_is_refused(workshop: Workshop) -> None:
    """What stands after the signature in its place could be taken for part of it."""
    root = workshop.tree()
    etree.SubElement(first(root, "q:edXMLHeader"), "after")
    assert refusal_of(root) == "seal-misplaced"


def test_no_signature_is_refused(workshop: Workshop) -> None:
    """A tree without a signature is refused as such."""
    assert refusal_of(workshop.original()) == "seal-missing"


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-30T08:30:00Z",
        "2026-1-21T8:30:00Z",
        "2026-11-21T08:30:00+00:00",
        "2026-11-21T08:30:00.0Z",
        "\u0662026-11-21T08:30:00Z",
    ],
)
def test_a_signing_time_has_one_spelling(workshop: Workshop, text: str) -> None:
    """A day that never was, another form of the zone, digits of another script: refused, though signed by the key."""
    root = workshop.tree()
    first(root, "xades:SigningTime").text = text
    signed = etree.fromstring(resigned(root, workshop.g22.private_key))
    assert refusal_of(signed) == "seal-form"


def test_as_many_certificates_as_allowed_are_taken(workshop: Workshop) -> None:
    """The bound is on abuse: a chain as long as the bound still opens."""
    root = workshop.tree()
    leaf, above = workshop.g22.certificates
    show_chain(first(root, "ds:Signature"), (leaf, *(above for _ in range(MAXIMUM_CERTIFICATES - 1))))
    opened = open_signature(root, SEAL_PARENTS, SEAL_FAULTS)
    assert (opened.signer, opened.signed_at) == (leaf, AT)


def test_the_tree_that_was_given_stays_as_it_was(workshop: Workshop) -> None:
    """Verifying takes the signature out of a copy, never out of the caller's tree."""
    root = workshop.tree()
    before = etree.tostring(root)
    open_signature(root, SEAL_PARENTS, SEAL_FAULTS)
    assert etree.tostring(root) == before
