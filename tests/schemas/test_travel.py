"""The envelope that travels: written, parsed and read, it is the same; what may not travel is not written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from lxml import etree

from schemas.envelope import AttachmentSize, Envelope, Extension, Selector, SelectorKind
from schemas.errors import Rejected
from schemas.message import Document, OtherInfo, TraceHeader
from schemas.namespaces import DS, EXTENSION, QCVN
from schemas.times import DateText, TimestampText
from schemas.travel import parse_envelope, read_envelope, write_envelope
from tests.schemas.samples import (
    DIGEST,
    DOCUMENT,
    DOCUMENT_ENVELOPE,
    FULL_ENVELOPE,
    OTHER_DIGEST,
    STATUS_ENVELOPE,
    organ,
    reference,
)
from tests.schemas.strategies import carried_texts, envelopes


@given(envelopes())
def test_what_is_written_reads_back_the_same(envelope: Envelope) -> None:
    """Every envelope, each optional element and any text included, survives writing, parsing and reading."""
    assert read_envelope(parse_envelope(write_envelope(envelope))) == envelope


@pytest.mark.parametrize("envelope", [FULL_ENVELOPE, DOCUMENT_ENVELOPE, STATUS_ENVELOPE])
def test_samples_of_each_kind_read_back_the_same(envelope: Envelope) -> None:
    """A document with every optional element, one with none, and a status survive, whatever the generator finds."""
    assert read_envelope(parse_envelope(write_envelope(envelope))) == envelope


@given(envelopes())
def test_the_bytes_are_canonical(envelope: Envelope) -> None:
    """What is written is its own exclusive canonical form, so that an envelope has one form and one digest."""
    data = write_envelope(envelope)
    assert etree.tostring(etree.fromstring(data), method="c14n", exclusive=True) == data
    assert write_envelope(read_envelope(parse_envelope(data))) == data


@given(text=carried_texts(max_size=2000))
def test_a_long_text_survives(text: str) -> None:
    """Texts beyond what peers take travel unchanged."""
    envelope = replace(DOCUMENT_ENVELOPE, message=replace(DOCUMENT, subject=text))
    assert read_envelope(parse_envelope(write_envelope(envelope))) == envelope


def test_the_form_is_the_one_of_the_axis() -> None:
    """The root stands in the default namespace, all below it under edXML:, our element last under its own prefix."""
    data = write_envelope(STATUS_ENVELOPE).decode()
    assert data == (
        f'<edXML xmlns="{QCVN}"><edXML:edXMLEnvelope xmlns:edXML="{QCVN}"><edXML:edXMLHeader><edXML:MessageHeader>'
        "<edXML:From><edXML:OrganId>H23</edXML:OrganId></edXML:From>"
        "<edXML:ResponseFor><edXML:OrganId>G22</edXML:OrganId>"
        "<edXML:DocumentId>G22,2026/11/02,6111/VPCP-KSTT</edXML:DocumentId></edXML:ResponseFor>"
        "<edXML:StatusCode>01</edXML:StatusCode><edXML:Timestamp>2026/11/02 15:31:00</edXML:Timestamp>"
        f'</edXML:MessageHeader><cv:Extension xmlns:cv="{EXTENSION}"><cv:SubmissionId>s-2</cv:SubmissionId>'
        f"<cv:About>{OTHER_DIGEST}</cv:About></cv:Extension></edXML:edXMLHeader></edXML:edXMLEnvelope></edXML>"
    )


def test_the_elements_of_a_document_stand_in_the_order_of_the_standard() -> None:
    """MessageHeader, then TraceHeaderList, then our extension; the manifest names attachments by their content."""
    root = parse_envelope(write_envelope(DOCUMENT_ENVELOPE))
    header = root[0][0]
    assert [etree.QName(child).localname for child in header] == ["MessageHeader", "TraceHeaderList", "Extension"]
    assert [etree.QName(child).localname for child in header[0]] == [
        *("From", "To", "To", "DocumentId", "Code", "PromulgationInfo", "DocumentType", "Subject", "Content"),
        *("SignerInfo", "OtherInfo", "SteeringType"),
    ]
    (manifest,) = root[0][1]
    assert manifest.get("version") == "1.0"
    assert manifest.findtext(f"{{{QCVN}}}Reference/{{{QCVN}}}ContentId") == f"cid:sha256-{DIGEST}"


def test_two_attachments_with_equal_bytes_and_an_empty_one_keep_their_names() -> None:
    """References that share one content id stay two under their own names; an empty attachment has size 0."""
    names = ["Phụ lục 1.csv", "Phụ lục 1 (bản sao).csv", "trống.txt"]
    references = tuple(map(reference, [DIGEST, DIGEST, OTHER_DIGEST], names))
    sizes = (AttachmentSize(DIGEST, 7), AttachmentSize(OTHER_DIGEST, 0))
    envelope = Envelope(replace(DOCUMENT, references=references), Extension(submission_id="s", attachment_sizes=sizes))
    read = read_envelope(parse_envelope(write_envelope(envelope)))
    assert isinstance(read.message, Document)
    assert [each.attachment_name for each in read.message.references] == names
    assert read == envelope


def test_dates_that_name_no_day_travel_as_written() -> None:
    """A signed text is kept, whatever it means."""
    document = replace(
        DOCUMENT,
        due_date=DateText("2014/02/30"),
        trace=(TraceHeader(organ_id=None, timestamp=TimestampText("hôm qua")),),
    )
    envelope = replace(DOCUMENT_ENVELOPE, message=document)
    assert read_envelope(parse_envelope(write_envelope(envelope))) == envelope


def test_a_signature_in_its_place_does_not_change_what_is_read() -> None:
    """The tree reads the same with the Signature as without."""
    data = write_envelope(DOCUMENT_ENVELOPE).replace(
        b"</edXML:edXMLHeader>", f'<Signature xmlns="{DS}"><SignedInfo/></Signature></edXML:edXMLHeader>'.encode()
    )
    root = parse_envelope(data, require_signature=True)
    assert read_envelope(root) == DOCUMENT_ENVELOPE


def test_white_space_between_elements_and_other_prefixes_read_the_same() -> None:
    """What is no part of the values may differ: an envelope that another program laid out is read."""
    root = etree.fromstring(write_envelope(DOCUMENT_ENVELOPE).replace(b"edXML:", b"q:").replace(b":edXML=", b":q="))
    etree.indent(root)
    data = etree.tostring(root, xml_declaration=True, encoding="utf-8")
    assert b"\n    <q:edXMLHeader>" in data
    assert read_envelope(parse_envelope(data)) == DOCUMENT_ENVELOPE


def _document(**changes: object) -> Envelope:
    return replace(DOCUMENT_ENVELOPE, message=replace(DOCUMENT, **changes))  # type: ignore[arg-type] # field names vary


def _extended(**changes: object) -> Envelope:
    extension = replace(DOCUMENT_ENVELOPE.extension, **changes)  # type: ignore[arg-type] # as above
    return replace(DOCUMENT_ENVELOPE, extension=extension)


RULES = [
    ("no-recipient", "MessageHeader", _document(recipients=())),
    (
        "recipient-repeated",
        "MessageHeader/To[3]/OrganId",
        _document(recipients=tuple(map(organ, ("H23", "H31", "H23")))),
    ),
    ("document-id-too-long", "MessageHeader/DocumentId", _document(document_id="x" * 1001)),
    ("trace-missing", "TraceHeaderList", _document(trace=())),
    ("steering-type-unknown", "MessageHeader/SteeringType", _document(steering_type=4)),
    ("number-too-large", "MessageHeader/OtherInfo/PageAmount", _document(other_info=OtherInfo(page_amount=2**31))),
    ("content-id-malformed", "edXMLManifest/Reference/ContentId", _document(references=(reference("1", "a.pdf"),))),
    (
        "attachment-size-missing",
        "edXMLManifest/Reference[2]",
        _document(references=(reference(DIGEST, "a"), reference(OTHER_DIGEST, "b"))),
    ),
    ("attachment-size-unmatched", "Extension/AttachmentSize", _document(references=())),
    (
        "attachment-size-repeated",
        "Extension/AttachmentSize[2]",
        _extended(attachment_sizes=(AttachmentSize(DIGEST, 7), AttachmentSize(DIGEST, 8))),
    ),
    (
        "attachment-size-malformed",
        "Extension/AttachmentSize",
        _extended(attachment_sizes=(AttachmentSize(DIGEST, -1),)),
    ),
    ("digest-malformed", "Extension/About[2]", _extended(about=(DIGEST, "3A" * 32))),
    ("digest-malformed", "Extension/AttachmentSize", _extended(attachment_sizes=(AttachmentSize("7f", 7),))),
    ("submission-id-malformed", "Extension/SubmissionId", _extended(submission_id="")),
    ("selector-malformed", "Extension/Selector", _extended(selectors=(Selector(SelectorKind.GROUP, "x" * 256),))),
    ("malformed-code", "Extension/Selector", _extended(selectors=(Selector(SelectorKind.PREFIX, "h23"),))),
    (
        "status-with-selectors",
        "Extension/Selector",
        replace(
            STATUS_ENVELOPE, extension=Extension(submission_id="s", selectors=(Selector(SelectorKind.GROUP, "bộ"),))
        ),
    ),
    (
        "attachment-size-unmatched",
        "Extension/AttachmentSize",
        replace(STATUS_ENVELOPE, extension=DOCUMENT_ENVELOPE.extension),
    ),
]


@pytest.mark.parametrize(("code", "element", "envelope"), RULES, ids=[f"{rule[0]}-{n}" for n, rule in enumerate(RULES)])
def test_what_may_not_travel_is_not_written(code: str, element: str, envelope: Envelope) -> None:
    """The writer refuses by the rule, naming the element, before anything is sealed."""
    with pytest.raises(Rejected) as caught:
        write_envelope(envelope)
    assert (caught.value.code, caught.value.element) == (code, element)


BOUNDS = [
    _document(document_id="x" * 1000),
    _document(other_info=OtherInfo(promulgation_amount=-(2**31), page_amount=2**31 - 1)),
    _document(steering_type=3),
    _extended(submission_id="x", selectors=(Selector(SelectorKind.GROUP, "x"),)),
    _extended(submission_id="x" * 255, selectors=(Selector(SelectorKind.GROUP, "x" * 255),)),
    _extended(attachment_sizes=(AttachmentSize(DIGEST, 2**63 - 1),)),
]


@pytest.mark.parametrize("envelope", BOUNDS)
def test_what_meets_a_bound_exactly_travels(envelope: Envelope) -> None:
    """The rules and the XSD agree on the largest and the smallest that is allowed."""
    assert read_envelope(parse_envelope(write_envelope(envelope))) == envelope


def test_a_document_without_to_travels_by_its_selectors() -> None:
    """To may be empty where a selector names the recipients."""
    envelope = Envelope(
        replace(DOCUMENT, recipients=()),
        replace(DOCUMENT_ENVELOPE.extension, selectors=(Selector(SelectorKind.PREFIX, "H23"),)),
    )
    assert read_envelope(parse_envelope(write_envelope(envelope))) == envelope


@pytest.mark.parametrize("character", ["\r", "\x00", "\x1b", "\ufffe", "\ud800"])
@pytest.mark.parametrize(
    ("element", "envelope"),
    [
        ("MessageHeader/Subject", lambda text: _document(subject=text)),
        ("MessageHeader/To[2]/OrganName", lambda text: _document(recipients=(organ("H23"), organ("H31", text)))),
        ("edXMLManifest/Reference/AttachmentName", lambda text: _document(references=(reference(DIGEST, text),))),
        ("Extension/SubmissionId", lambda text: _extended(submission_id=text)),
    ],
)
def test_a_text_that_xml_does_not_carry_is_refused_where_it_stands(
    character: str, element: str, envelope: Callable[[str], Envelope]
) -> None:
    """Controls, carriage returns, surrogates and non-characters are refused, with the element that holds them."""
    with pytest.raises(Rejected) as caught:
        write_envelope(envelope(f"V/v <gấp> {character} & hỏa tốc"))
    assert (caught.value.code, caught.value.element) == ("text-not-carried", element)
    assert f"U+{ord(character):04X}" in caught.value.message
