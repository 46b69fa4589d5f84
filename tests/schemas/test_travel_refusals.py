"""What the hardened parser refuses before anything is read: each for its own reason, at its line."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.errors import LimitExceeded, MalformedMessage
from schemas.limits import DEFAULT_LIMITS, Limits
from schemas.namespaces import QCVN
from schemas.travel import parse_envelope, read_envelope
from tests.schemas.samples import DOCUMENT_ENVELOPE, STATUS_ENVELOPE
from tests.schemas.spoiling import DOCUMENT, SIGNATURE, STATUS, line_of, put, refused, swap


def test_the_envelopes_that_are_spoilt_below_are_good_ones() -> None:
    """Each refusal below comes from the one change it makes."""
    assert read_envelope(parse_envelope(DOCUMENT)) == DOCUMENT_ENVELOPE
    assert read_envelope(parse_envelope(STATUS)) == STATUS_ENVELOPE


MARKUP = [
    ("comment-forbidden", b"<!-- H23 -->"),
    ("processing-instruction-forbidden", b"<?xml-stylesheet href='x'?>"),
    ("processing-instruction-forbidden", b"<?xml version='1.0'?>"),
    ("cdata-forbidden", b"<![CDATA[x]]>"),
    ("declaration-forbidden", b"<!ELEMENT x ANY>"),
]


@pytest.mark.parametrize(("code", "markup"), MARKUP)
def test_markup_that_says_nothing_is_refused_at_its_line(code: str, markup: bytes) -> None:
    """Comments, processing instructions and CDATA are refused wherever they stand."""
    data = b'<?xml version="1.0"?>\n' + put(b"V/v", markup)
    error = refused(data)
    assert isinstance(error, MalformedMessage)
    assert (error.code, error.line) == (code, line_of(data, markup))
    assert error.mend


def test_a_comment_does_not_cut_a_code_short() -> None:
    """`H23<!---->.12` is refused, not read as H23."""
    assert refused(swap(b">H23<", b">H23<!---->.12<")).code == "comment-forbidden"


BOMB = b"""<!DOCTYPE edXML [
 <!ENTITY a "hahahahahaha">
 <!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
 <!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">
 <!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">
 <!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;">
]>
"""


def test_a_doctype_is_refused_before_anything_expands(tmp_path: Path) -> None:
    """An entity bomb, an external entity and an empty DOCTYPE are all refused by the one rule, with the line."""
    secret = tmp_path / "secret"
    secret.write_text("a secret")
    external = f'<!DOCTYPE edXML [<!ENTITY e SYSTEM "{secret.as_uri()}">]>'.encode()
    for doctype in (BOMB, external, b"<!DOCTYPE edXML>", b"<!DOCTYPE edXML SYSTEM 'edxml.dtd'>"):
        error = refused(b"\n" + doctype + swap(b"V/v", b"&e;"))
        assert (error.code, error.line) == ("doctype-forbidden", 2)


def test_an_entity_that_no_one_declares_is_refused() -> None:
    """Without a DOCTYPE only XML's own five entities exist."""
    data = swap(b"V/v", b"&nbsp;")
    error = refused(data)
    assert (error.code, error.line) == ("not-well-formed", line_of(data, b"&nbsp;"))


ENCODINGS = [
    DOCUMENT.decode().encode("utf-8-sig"),
    DOCUMENT.decode().encode("utf-16"),
    DOCUMENT.decode().encode("utf-16-le"),
    DOCUMENT.decode().encode("utf-16-be"),
    DOCUMENT.decode().encode("utf-32"),
    DOCUMENT.decode().encode("cp1258", "replace"),
    # Overlong and surrogate forms decode to other text in other readers.
    swap(b"V/v", b"\xc0\xbcV/v"),
    swap(b"V/v", b"\xed\xa0\x80V/v"),
]


@pytest.mark.parametrize("data", ENCODINGS)
def test_only_plain_utf8_travels(data: bytes) -> None:
    """Other encodings, byte order marks and ill-formed UTF-8 are refused, with the mend."""
    error = refused(data)
    assert error.code == "encoding-not-utf-8"
    assert error.mend == "Write UTF-8 without a byte order mark."


def test_the_line_of_a_byte_that_is_no_utf8_is_named() -> None:
    """A damaged byte is found by its line."""
    data = swap(b"V/v", b"\xff")
    assert refused(data).line == line_of(data, b"\xff")


@pytest.mark.parametrize(
    ("code", "prolog"),
    [
        ("declaration-unknown", b'<?xml version="1.1"?>'),
        ("declaration-unknown", b'<?xml version="1.0" encoding="ISO-8859-1"?>'),
        ("declaration-unknown", b'<?xml version="1.0" encoding="UTF-7"?>'),
        ("declaration-unknown", b'\n<?xml version="1.0" encoding="UTF-8"?>'),
        ("bytes-before-prolog", b"HTTP/1.1 200 OK\n\n"),
        ("bytes-before-prolog", b'<?xml version="1.0"?>x'),
    ],
)
def test_a_message_begins_with_its_tag_or_the_one_declaration(code: str, prolog: bytes) -> None:
    """A declaration that names another version or encoding is no decoration: two readers could read two texts."""
    assert refused(prolog + DOCUMENT).code == code


@pytest.mark.parametrize("data", [b"", b" \n", b"x"])
def test_nothing_is_no_message(data: bytes) -> None:
    """An empty message is refused like any other that does not begin with a tag."""
    assert refused(data).code == "bytes-before-prolog"


@pytest.mark.parametrize(
    "data",
    [
        DOCUMENT[:-20],
        DOCUMENT + b"<edXML/>",
        DOCUMENT + b"x",
        swap(b"<edXML:Code>", b"<edXML:Code><edXML:Code>"),
        swap(b"<edXML:Code>", b"<x:Code>"),
        swap(b'version="1.0"', b'version="1.0" version="1.0"'),
        swap(b"V/v", b"&#0;"),
        swap(b"V/v", b"\x1b"),
    ],
)
def test_what_is_not_well_formed_is_refused_with_a_line(data: bytes) -> None:
    """Truncated, doubled, unbound and forbidden pieces are refused where the parser stops."""
    error = refused(data)
    assert error.code == "not-well-formed"
    assert error.line is not None
    assert error.line > 1


def nested(depth: int) -> bytes:
    """A Signature whose inside is `depth` elements deep; what stands in it is not judged by the XSD."""
    inside = b"<a>" * depth + b"</a>" * depth
    return put(b"</edXML:edXMLHeader>", SIGNATURE.replace(b"<SignedInfo/>", inside))


def decorated(attributes: int) -> bytes:
    """An envelope in whose Signature one element has that many attributes."""
    return nested(1).replace(b"<a>", b"<a " + b" ".join(b'x%d="1"' % number for number in range(attributes)) + b">")


def declaring(namespaces: int) -> bytes:
    """An envelope that declares a namespace that many times."""
    more = namespaces - DOCUMENT.count(b" xmlns") - 1
    return nested(1).replace(b"<a>", b"<a " + b" ".join(b'xmlns:x%d="u"' % number for number in range(more)) + b">")


LIMITS = [
    ("message-too-large", DOCUMENT, replace(DEFAULT_LIMITS, envelope_bytes=len(DOCUMENT) - 1)),
    ("too-many-elements", DOCUMENT, replace(DEFAULT_LIMITS, elements=DOCUMENT.count(b"</") - 1)),
    ("too-deep", nested(29), DEFAULT_LIMITS),
    ("parser-limit", nested(100_000), DEFAULT_LIMITS),
    ("parser-limit", swap(b"V/v", b"x" * 11_000_000), replace(DEFAULT_LIMITS, envelope_bytes=20_000_000)),
    ("text-too-long", swap(b"V/v", "ệ".encode() * 350_000), DEFAULT_LIMITS),
    ("text-too-long", nested(1).replace(b"<a>", b"<a Id='" + b"x" * 1_100_000 + b"'>"), DEFAULT_LIMITS),
    ("too-many-recipients", DOCUMENT, replace(DEFAULT_LIMITS, recipients=1)),
    ("too-many-attachments", DOCUMENT, replace(DEFAULT_LIMITS, attachments=0)),
    ("too-many-attributes", decorated(33), DEFAULT_LIMITS),
    ("too-many-namespaces", declaring(1001), DEFAULT_LIMITS),
]


@pytest.mark.parametrize(("code", "data", "limits"), LIMITS)
def test_what_exceeds_a_limit_is_refused_as_such(code: str, data: bytes, limits: Limits) -> None:
    """Size, number, depth, length, recipients, attachments, attributes and namespaces each have their own bound."""
    error = refused(data, limits)
    assert isinstance(error, LimitExceeded)
    assert error.code == code


@pytest.mark.parametrize(
    ("data", "limits"),
    [
        (DOCUMENT, replace(DEFAULT_LIMITS, envelope_bytes=len(DOCUMENT))),
        (DOCUMENT, replace(DEFAULT_LIMITS, elements=DOCUMENT.count(b"</"))),
        (nested(28), DEFAULT_LIMITS),
        (DOCUMENT, replace(DEFAULT_LIMITS, recipients=2, attachments=1)),
        (decorated(32), DEFAULT_LIMITS),
        (declaring(1000), DEFAULT_LIMITS),
        (swap(b"V/v", b"xmlns " * 1001), DEFAULT_LIMITS),
        (swap(b"V/v", "ệ".encode() * 349_000), DEFAULT_LIMITS),
    ],
)
def test_what_meets_a_limit_exactly_passes(data: bytes, limits: Limits) -> None:
    """A limit is the largest that is allowed."""
    parse_envelope(data, limits)


def test_a_huge_message_costs_nothing_but_its_bytes() -> None:
    """A message beyond the size limit is refused without a tree, or even a decoded text, being made of it."""
    data = put(b"V/v", b"x" * 50_000_000)
    tracemalloc.start()
    try:
        assert refused(data).code == "message-too-large"
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def signed(data: bytes = DOCUMENT) -> bytes:
    return put(b"</edXML:edXMLHeader>", SIGNATURE, data)


QCVN_SIGNATURE = f'<Signature xmlns="{QCVN}"><SignedInfo/></Signature>'.encode()
COUNTERSIGNED = SIGNATURE.replace(b"<SignedInfo/>", b"<SignedInfo/><Object>" + SIGNATURE + b"</Object>")

SIGNATURES = [
    ("signature-missing", DOCUMENT),
    ("signature-repeated", signed(signed())),
    ("signature-repeated", put(b"</edXML:edXMLHeader>", COUNTERSIGNED)),
    ("signature-repeated", put(b"</edXML:edXMLBody>", SIGNATURE, signed())),
    ("signature-not-xmldsig", put(b"</edXML:edXMLHeader>", QCVN_SIGNATURE)),
    ("signature-misplaced", put(b"</edXML:edXMLBody>", SIGNATURE)),
    ("signature-misplaced", put(b"</edXML>", SIGNATURE)),
    ("signature-misplaced", put(b"<edXML:edXMLHeader>", SIGNATURE)),
    ("signature-misplaced", put(b"<cv:Extension", SIGNATURE)),
    ("signature-misplaced", put(b"</edXML:MessageHeader>", SIGNATURE)),
]


@pytest.mark.parametrize(("code", "data"), SIGNATURES)
def test_a_signature_stands_once_and_last_in_the_header(code: str, data: bytes) -> None:
    """A Signature that is missing, doubled, nested, moved, or a copied placeholder is refused for that."""
    assert refused(data, require_signature=True).code == code


def test_a_header_elsewhere_is_no_place_for_the_signature() -> None:
    """A second edXMLHeader, as in a wrapping attack, does not make its Signature well-placed."""
    wrapped = b"<edXML:edXMLHeader>" + SIGNATURE + b"</edXML:edXMLHeader>"
    assert refused(put(b"</edXML:edXMLBody>", wrapped)).code == "signature-misplaced"


@pytest.mark.parametrize("name", [b"Id", b"ID", b"id", b"xml:id"])
def test_two_elements_with_one_id_are_refused(name: bytes) -> None:
    """Whatever a verifier calls an Id, a reference to it names one element."""
    inside = b"<a Id='x'/>\n<b " + name + b"='x'/>"
    data = put(b"</edXML:edXMLHeader>", SIGNATURE.replace(b"<SignedInfo/>", inside))
    error = refused(data)
    assert (error.code, error.line) == ("id-repeated", line_of(data, b"<b "))


def test_an_attribute_cannot_tell_the_validator_what_to_check() -> None:
    """xsi:type and schema locations are refused: the form of a message is ours to choose."""
    hint = b'<edXML:Code xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="u http://u/u.xsd">'
    error = refused(swap(b"<edXML:Code>", hint))
    assert (error.code, error.element) == ("schema-hint-forbidden", "MessageHeader/Code")
