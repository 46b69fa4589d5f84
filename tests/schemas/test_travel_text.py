"""An envelope known by its text: what that reads, the parser reads alike; what it does not know, the parser judges."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certs.canonical import canonical
from schemas.envelope import Envelope, Override, SecrecyLevel
from schemas.errors import Rejected
from schemas.limits import DEFAULT_LIMITS, Limits
from schemas.message import Document
from schemas.travel import parse_envelope, read_envelope, write_envelope
from schemas.travel_text import envelope_in
from tests.schemas.samples import DOCUMENT, DOCUMENT_ENVELOPE, FULL_ENVELOPE, STATUS_ENVELOPE
from tests.schemas.strategies import envelopes

assert isinstance(FULL_ENVELOPE.message, Document)
assert FULL_ENVELOPE.message.business is not None
#: Every optional element but what changes an earlier document.
NEARLY_FULL = replace(
    FULL_ENVELOPE,
    message=replace(
        FULL_ENVELOPE.message, business=replace(FULL_ENVELOPE.message.business, document_info=None, replacements=None)
    ),
    extension=replace(
        FULL_ENVELOPE.extension, secrecy=SecrecyLevel.SECRET, override=Override("Trần Thị Bình", "đã <xem> & ký")
    ),
)
ESCAPED = Envelope(
    replace(DOCUMENT, subject="a &lt; b & <c>\n\td]]>", to_places=("&amp;", "")),
    replace(DOCUMENT_ENVELOPE.extension, submission_id="&"),
)
EVERYDAY = [DOCUMENT_ENVELOPE, STATUS_ENVELOPE, NEARLY_FULL, ESCAPED]

#: What text and parser could take for different things, or one of them for nothing.
PIECES = [
    *(b"<", b">", b"&", b"&amp;", b"&lt;", b"&quot;", b"&#13;", b"&#x41;", b"&#xD;", b"]]>", b'"', b"'", b"\r"),
    *(b"\n", b" ", b"\t", b"\x00", b"\x1f", b"\x7f", "\x85".encode(), "\xa0".encode(), "\u2028".encode()),
    *("\ufffe".encode(), b"\xed\xa0\x80", b"\xff", b"+1", b"01", b"-0", b"9" * 10, b"9" * 19, "١".encode(), b"1.0"),
    *(b"A", b".", b"x" * 256, b"<!---->", b"<?a?>", b"<![CDATA[a]]>", b' a="b"', b' xmlns="a"', b"<edXML:Place/>"),
    *(b"<edXML:To></edXML:To>", b"<cv:About></cv:About>", b"<edXML:Subject>", b"</edXML:Subject>"),
]


def known(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Envelope | None:
    return envelope_in(data, limits, sealed_bytes=len(data))


def by_the_parser(data: bytes) -> Envelope | str:
    try:
        return read_envelope(parse_envelope(data))
    except Rejected as error:
        return error.code


@pytest.mark.parametrize("envelope", EVERYDAY)
def test_what_nodes_write_is_known_by_its_text(envelope: Envelope) -> None:
    """Envelopes as they travel every day are read without a parser, markup in their texts included."""
    assert known(write_envelope(envelope)) == envelope


@settings(max_examples=30)
@given(envelopes())
def test_the_parser_reads_the_same(envelope: Envelope) -> None:
    """Of any envelope that is written, the text says what the parser says, or nothing."""
    written = write_envelope(envelope)
    assert known(written) in (None, envelope)
    assert by_the_parser(written) == envelope


@given(st.sampled_from([write_envelope(envelope) for envelope in EVERYDAY]), st.data())
def test_what_is_spoilt_is_read_as_the_parser_reads_it(good: bytes, data: st.DataObject) -> None:
    """Whatever is put in or cut out: the text gives no other value, lets nothing more through, and is canonical."""
    begin = data.draw(st.integers(0, len(good)))
    end = begin + data.draw(st.integers(0, 3))
    spoilt = good[:begin] + data.draw(st.sampled_from(PIECES) | st.binary(max_size=3)) + good[end:]
    if (read := known(spoilt)) is not None:
        assert by_the_parser(spoilt) == read
        assert canonical(parse_envelope(spoilt)) == spoilt


@pytest.mark.parametrize("envelope", [NEARLY_FULL, STATUS_ENVELOPE])
def test_no_value_is_taken_that_the_parser_refuses(envelope: Envelope) -> None:
    """Behind every tag, each piece that may mean something to one of the two."""
    good = write_envelope(envelope)
    taken = 0
    for place in (found + 1 for found, letter in enumerate(good) if letter == ord(">")):
        for piece in PIECES:
            spoilt = good[:place] + piece + good[place:]
            if (read := known(spoilt)) is not None:
                taken += 1
                assert by_the_parser(spoilt) == read, (place, piece)
    assert taken > 50


@pytest.mark.parametrize(
    "limits",
    [
        Limits(envelope_bytes=1000),
        Limits(text_bytes=1000),
        Limits(elements=50),
        Limits(depth=8),
        Limits(recipients=1),
        Limits(attachments=0),
    ],
)
def test_limits_hold_for_what_is_known_by_its_text(limits: Limits) -> None:
    """What may be beyond a limit is the parser's to judge, whichever limit was lowered."""
    written = write_envelope(DOCUMENT_ENVELOPE)
    assert known(written) is not None
    assert known(written, limits) is None


def test_a_rule_that_spans_elements_is_not_passed_over() -> None:
    """A recipient named twice, in a text that is written as we write: the reader refuses it, and says where."""
    twice = write_envelope(DOCUMENT_ENVELOPE).replace(b"000.00.00.H31", b"H23")
    assert known(twice) is None
    assert by_the_parser(twice) == "recipient-repeated"


def test_a_long_list_takes_time_by_its_length_alone() -> None:
    """A pattern that goes back over what it took would never end here: 2,000 recipients, and a fault behind them."""
    to = (
        b"<edXML:To><edXML:OrganId>H23</edXML:OrganId><edXML:OrganName>"
        + b"&amp;" * 4
        + b"</edXML:OrganName></edXML:To>"
    )
    written = write_envelope(DOCUMENT_ENVELOPE)
    begin, end = written.index(b"<edXML:To>"), written.index(b"<edXML:DocumentId>")
    assert known(written[:begin] + to * 2000 + written[end:-1]) is None


def test_a_text_that_looks_like_namespaces_is_the_parsers_to_judge() -> None:
    """Above its limit the parser counts what looks like a declaration in texts as well: nothing is let past it."""
    written = write_envelope(replace(DOCUMENT_ENVELOPE, message=replace(DOCUMENT, subject=" xmlns=" * 1001)))
    assert known(written) is None
    assert by_the_parser(written) == "too-many-namespaces"
