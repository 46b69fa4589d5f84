"""The reader's own checks hold for a tree that no XSD has seen."""

from __future__ import annotations

import pytest
from lxml import etree

from schemas.errors import MalformedMessage
from schemas.travel import read_envelope
from tests.schemas.spoiling import DOCUMENT, line_of, put, swap, without

UNSEEN = [
    ("element-missing", "MessageHeader/Code", b"<edXML:Code>", without(b"<edXML:CodeNumber>", b"</edXML:CodeNumber>")),
    ("element-missing", "edXML", b"<edXML", b'<edXML xmlns="u"/>'),
    ("element-repeated", "MessageHeader/Subject[2]", b"V/v", put(b"<edXML:Subject>V/v", b"<edXML:Subject/>\n")),
    ("text-with-markup", "MessageHeader/To/OrganId", b">H23<", swap(b">H23<", b">H23<!-- -->.12<")),
    ("text-with-markup", "MessageHeader/Subject", b"<b/>", swap(b"V/v", b"<b/>V/v")),
    ("value-malformed", "MessageHeader/SteeringType", b">x<", swap(b"SteeringType>0<", b"SteeringType>x<")),
    ("value-malformed", "MessageHeader/OtherInfo/Priority", b">9<", swap(b"Priority>0<", b"Priority>9<")),
    ("attribute-missing", "Extension/AttachmentSize", b"<cv:Att", swap(b" digest=", b" length=")),
]


def test_the_tree_that_is_spoilt_below_is_a_good_one() -> None:
    """Each refusal below comes from the one change it makes."""
    assert read_envelope(etree.fromstring(DOCUMENT))


@pytest.mark.parametrize(("code", "element", "mark", "data"), UNSEEN)
def test_a_tree_that_was_not_validated_is_still_read_strictly(
    code: str, element: str, mark: bytes, data: bytes
) -> None:
    """What is missing, doubled, mixed with markup or no value of its kind is refused where it stands."""
    with pytest.raises(MalformedMessage) as caught:
        read_envelope(etree.fromstring(data))
    assert (caught.value.code, caught.value.element) == (code, element)
    assert caught.value.line == line_of(data, mark)
