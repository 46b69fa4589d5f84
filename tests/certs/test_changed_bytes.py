"""One thing changed anywhere in a sealed message, and it is no message any more."""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import deepcopy
from itertools import islice

import pytest
from lxml import etree

from certs.sealing import seal
from certs.unsealing import unseal
from schemas.errors import Rejected
from schemas.xml import Element
from tests.vectors.workshop import AT, ATTACHMENT, G22, Workshop, envelope_from, first, written


@pytest.fixture(scope="module")
def good(workshop: Workshop) -> bytes:
    """A message sealed on P-256, which is smaller."""
    return seal(envelope_from(), workshop.key_of(G22, workshop.national), AT).data


def _nth(root: Element, place: int) -> Element:
    """The element that stands at `place` in the document's order."""
    return next(islice(root.iter(), place, None))


def _other(text: str) -> str:
    """`text` with its last character exchanged for its neighbour, so that base64 stays base64 and a number a number."""
    return text[:-1] + chr(ord(text[-1]) ^ 1)


def _with_one_change(data: bytes) -> Iterator[tuple[str, bytes]]:
    """What was done to which element, and the message that came of it."""
    genuine = etree.fromstring(data)
    for place, element in enumerate(genuine.iter()):
        name = etree.QName(element).localname
        for attribute, value in element.items():
            changed = deepcopy(genuine)
            _nth(changed, place).set(attribute, _other(str(value) or "x"))
            yield f"{name}/@{attribute!s} changed", written(changed)
        if len(element) == 0 and element.text:
            changed = deepcopy(genuine)
            _nth(changed, place).text = _other(element.text.rstrip("\n="))
            yield f"{name} changed", written(changed)
        changed = deepcopy(genuine)
        _nth(changed, place).set("new", "1")
        yield f"{name}/@new", written(changed)
        changed = deepcopy(genuine)
        _nth(changed, place).tag = f"{element.tag}X"
        yield f"{name} renamed", written(changed)
        if place == 0:
            continue
        changed = deepcopy(genuine)
        _nth(changed, place).addnext(deepcopy(element))
        yield f"{name} doubled", written(changed)
        changed = deepcopy(genuine)
        left_out = _nth(changed, place)
        parent = left_out.getparent()
        assert parent is not None
        parent.remove(left_out)
        yield f"{name} left out", written(changed)


def test_a_change_in_any_element_is_refused(workshop: Workshop, good: bytes) -> None:
    """Each text, attribute and name, in the message and in the signature, each element doubled or left out."""
    accepted, tried = [], 0
    for what, changed in _with_one_change(good):
        tried += 1
        try:
            unseal(changed, workshop.trust, AT)
        except Rejected:
            continue
        accepted.append(what)
    assert tried > 400
    # A certificate that stands twice in KeyInfo decides nothing: KeyInfo is not signed, and the id is the same.
    assert set(accepted) == {"X509Certificate doubled"}


def test_a_text_changed_where_the_form_allows_any_is_found_by_the_digest(workshop: Workshop, good: bytes) -> None:
    """Subject, names, notes: where no rule of the form can see a change, the seal does."""
    for name in (
        "q:Subject",
        "q:Content",
        "q:OrganName",
        "q:FullName",
        "q:Place",
        "q:AttachmentName",
        "cv:SubmissionId",
    ):
        root = etree.fromstring(good)
        element = first(root, name)
        element.text = _other(element.text or "")
        with pytest.raises(Rejected) as refusal:
            unseal(written(root), workshop.trust, AT)
        assert refusal.value.code == "seal-digest", name


def test_another_attachment_is_another_message(workshop: Workshop, good: bytes) -> None:
    """The digest in a content id is sealed, so that no attachment can be exchanged for another."""
    other = ATTACHMENT[::-1]
    with pytest.raises(Rejected) as refusal:
        unseal(good.replace(ATTACHMENT.encode(), other.encode()), workshop.trust, AT)
    assert refusal.value.code == "seal-digest"


def test_white_space_between_elements_is_sealed_too(workshop: Workshop, good: bytes) -> None:
    """An indented copy is another text in the canonical form: nobody may prettify what travels."""
    root = etree.fromstring(good)
    etree.indent(root)
    with pytest.raises(Rejected) as refusal:
        unseal(written(root), workshop.trust, AT)
    assert refusal.value.code in {"seal-digest", "seal-signature"}


def test_no_byte_can_be_flipped_into_another_message(workshop: Workshop, good: bytes) -> None:
    """Whatever single bytes are changed, an accepted message has the same id and the same content."""
    genuine = unseal(good, workshop.trust, AT)
    chance = random.Random(20261121)
    for _ in range(1200):
        at = chance.randrange(len(good))
        changed = bytearray(good)
        changed[at] ^= 1 << chance.randrange(8)
        try:
            opened = unseal(bytes(changed), workshop.trust, AT)
        except Rejected:
            continue
        assert (opened.message_id, opened.value) == (genuine.message_id, genuine.value), at


def test_no_prefix_of_a_message_is_one(workshop: Workshop, good: bytes) -> None:
    """A message cut off anywhere is refused as such, not with an exception of some library."""
    for end in range(0, len(good), 97):
        with pytest.raises(Rejected):
            unseal(good[:end], workshop.trust, AT)
