"""Paths of elements: short to read, and they lead back."""

from __future__ import annotations

import pytest
from lxml import etree

from schemas.errors import Rejected
from schemas.markup import encoded
from schemas.travel import parse_envelope, write_envelope
from schemas.xml import element_at, element_path
from tests.schemas.samples import FULL_ENVELOPE

DATA = write_envelope(FULL_ENVELOPE)


def test_every_path_leads_back_to_its_element() -> None:
    """No two elements share a path, and each is found by its own."""
    root = parse_envelope(DATA)
    for element in root.iter():
        assert element_at(root, element_path(element)) is element


@pytest.mark.parametrize(
    "path", ["Nothing", "MessageHeader/To[9]", "MessageHeader/To[9]/OrganId", "MessageHeader/Nothing"]
)
def test_a_path_to_nothing_finds_nothing(path: str) -> None:
    """What a rule misses has no line."""
    assert element_at(parse_envelope(DATA), path) is None


def test_the_writer_names_places_as_the_reader_does() -> None:
    """A character that cannot be carried is reported, in any text, by the path that the tree gives that element."""
    root = parse_envelope(DATA)
    leaves = [element for element in root.iter() if not len(element) and element.text]
    for leaf in leaves:
        path, text = element_path(leaf), leaf.text
        leaf.text = "\u2603"
        markup = etree.tostring(root, method="c14n", exclusive=True).decode()
        leaf.text = text
        with pytest.raises(Rejected) as caught:
            encoded(markup.replace("\u2603", "\r"))
        assert caught.value.element == path
