"""Our XSDs are valid, mean the same to two validators, and say what strict receivers need."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from schemas.envelope import Envelope, Extension
from schemas.errors import MalformedMessage
from schemas.message import Document, Message
from schemas.namespaces import DS, EXTENSION, QCVN
from schemas.travel import read_envelope, write_envelope
from schemas.validation import XSD_FOLDER, Grammar
from schemas.xml import Element, element_at
from tests.schemas.samples import DOCUMENT, DOCUMENT_ENVELOPE, FULL_ENVELOPE, STATUS_ENVELOPE
from tests.schemas.strategies import documents, envelopes, line_texts, statuses

#: Files that stand alone; message.xsd names types that the file which includes it defines.
WHOLE = ["travel.xsd", "classic.xsd", "receipt.xsd", "extension.xsd", "signature.xsd"]

TRAVEL = etree.XMLSchema(file=XSD_FOLDER / "travel.xsd")
TRAVEL_AGAIN = xmlschema.XMLSchema(XSD_FOLDER / "travel.xsd", allow="local")
CLASSIC = etree.XMLSchema(file=XSD_FOLDER / "classic.xsd")
CLASSIC_AGAIN = xmlschema.XMLSchema(XSD_FOLDER / "classic.xsd", allow="local")


@pytest.mark.parametrize("name", WHOLE)
def test_each_xsd_is_valid(name: str) -> None:
    """libxml2 compiles it, and xmlschema finds nothing wrong with it against the schema of schemas."""
    assert etree.XMLSchema(file=XSD_FOLDER / name)
    assert not xmlschema.XMLSchema(XSD_FOLDER / name, allow="local", validation="lax").all_errors


def test_every_xsd_is_tried() -> None:
    """No XSD is left out of these tests."""
    assert {path.name for path in XSD_FOLDER.iterdir()} == {*WHOLE, "message.xsd"}


@settings(max_examples=40)
@given(envelopes())
def test_two_validators_accept_what_is_written(envelope: Envelope) -> None:
    """Every envelope that the writer writes is valid by libxml2 and by xmlschema."""
    root = etree.fromstring(write_envelope(envelope))
    assert TRAVEL(root)
    assert TRAVEL_AGAIN.is_valid(root)


def test_the_samples_hold_every_element_of_the_form() -> None:
    """Every element that the XSD names is written by the writer, so that the tests below reach it."""
    declared = {
        element.get("name")
        for name in ("message.xsd", "travel.xsd", "extension.xsd")
        for element in etree.parse(XSD_FOLDER / name).iter("{http://www.w3.org/2001/XMLSchema}element")
    }
    written = {
        etree.QName(element).localname
        for envelope in (FULL_ENVELOPE, STATUS_ENVELOPE)
        for element in etree.fromstring(write_envelope(envelope)).iter()
    }
    assert written == declared - {None}


@st.composite
def spoilt_trees(draw: st.DrawFn) -> Element:
    """An envelope's tree with one element removed, doubled, renamed, moved, filled or decorated."""
    root = etree.fromstring(write_envelope(draw(st.sampled_from([FULL_ENVELOPE, STATUS_ENVELOPE]))))
    element = draw(st.sampled_from(list(root.iter())[1:]))
    parent = element.getparent()
    assert parent is not None
    match draw(st.sampled_from(["remove", "double", "rename", "first", "last", "fill", "decorate", "nest"])):
        case "remove":
            parent.remove(element)
        case "double":
            element.addnext(copy.deepcopy(element))
        case "rename":
            name = draw(st.sampled_from(["To", "Email", "ResponseFor", "Extension", "Note"]))
            element.tag = f"{{{draw(st.sampled_from([QCVN, EXTENSION, DS]))}}}{name}"
        case "first":
            parent.insert(0, element)
        case "last":
            parent.append(element)
        case "fill":
            element.text = draw(
                st.sampled_from(["", " ", "0", "1", "+1", "01", " 1 ", "2147483648", "-1", "16", "H23"])
            )
        case "decorate":
            element.set(draw(st.sampled_from(["Id", "version", "digest", "kind"])), draw(st.sampled_from(["1.0", "x"])))
        case "nest":
            etree.SubElement(element, f"{{{QCVN}}}OrganId")
    return root


@settings(max_examples=200)
@given(spoilt_trees())
def test_two_validators_agree_on_what_is_spoilt(root: Element) -> None:
    """Whatever one change makes of an envelope, libxml2 and xmlschema judge it alike: the XSD has one meaning."""
    assert TRAVEL(root) == TRAVEL_AGAIN.is_valid(root)


def classic(message: Message) -> Element:
    """A message as a strict writer hands it out: without our extension, a document's attachments inside."""
    bare = replace(message, references=()) if isinstance(message, Document) else message
    root = etree.fromstring(write_envelope(Envelope(bare, Extension(submission_id="s"))))
    header = root[0][0]
    header.remove(header[-1])
    if isinstance(message, Document):
        encoded = etree.SubElement(root, f"{{{QCVN}}}AttachmentEncoded")
        attachment = etree.SubElement(encoded, f"{{{QCVN}}}Attachment")
        for name, text in ATTACHMENT.items():
            etree.SubElement(attachment, f"{{{QCVN}}}{name}").text = text
    return root


ATTACHMENT = {
    "ContentId": "cid:1",
    "AttachmentName": "Phụ lục.csv",
    "Description": "Phụ lục",
    "ContentType": "application/zip",
    "ContentTransferEncoded": "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==",
}


@settings(max_examples=40)
@given(documents(line_texts()) | statuses(line_texts()))
def test_the_classic_xsd_accepts_what_strict_receivers_take(message: Message) -> None:
    """Messages within the limits of peers, in the order of the standard, are valid by both validators."""
    root = classic(message)
    assert CLASSIC(root)
    assert CLASSIC_AGAIN.is_valid(root)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("MessageHeader/Subject", "x" * 501),
        ("MessageHeader/From/OrganName", "x" * 501),
        ("MessageHeader/From/OrganId", "H 23"),
        ("MessageHeader/Code/CodeNumber", "1" * 12),
        ("MessageHeader/Code/CodeNotation", "x" * 31),
        ("MessageHeader/PromulgationInfo/Place", "x" * 51),
        ("MessageHeader/PromulgationInfo/PromulgationDate", "02/11/2026"),
        ("MessageHeader/SignerInfo/FullName", "x" * 51),
        ("MessageHeader/SteeringType", ""),
        ("TraceHeaderList/TraceHeader/Timestamp", "2026/11/02"),
        ("AttachmentEncoded/Attachment/ContentTransferEncoded", "UEs*"),
        # An element without which a strict receiver loses the message.
        ("MessageHeader/To", None),
        ("AttachmentEncoded/Attachment/Description", None),
    ],
)
def test_the_classic_xsd_refuses_what_strict_receivers_do_not_take(path: str, text: str | None) -> None:
    """Each length and form that peers apply is in the XSD."""
    root = classic(DOCUMENT)
    element = element_at(root, path)
    assert element is not None
    if text is not None:
        element.text = text
    elif (parent := element.getparent()) is not None:
        for each in parent.findall(element.tag):
            parent.remove(each)
    assert not CLASSIC(root)
    assert not CLASSIC_AGAIN.is_valid(root)


@pytest.mark.parametrize(
    "text",
    ["2026-12-01T08:30:00Z", "2026-12-01T08:30:00.000000+00:00", "2026-13-01T08:30:00.000000Z", "2026-12-01", ""],
)
def test_an_instant_has_one_text(text: str) -> None:
    """Only UTC to the microsecond, and only an instant that exists, is an expiry: by both validators and the reader."""
    written = write_envelope(FULL_ENVELOPE)
    spoilt = written.replace(b">2026-12-01T08:30:00.000000Z<", f">{text}<".encode())
    assert spoilt != written
    assert not TRAVEL(etree.fromstring(spoilt))
    assert not TRAVEL_AGAIN.is_valid(etree.fromstring(spoilt))
    with pytest.raises(MalformedMessage):
        read_envelope(etree.fromstring(spoilt))


def test_a_grammar_serves_threads_at_once() -> None:
    """Threads that validate good and bad trees at the same time each get their own answer."""
    grammar = Grammar("travel.xsd")
    good, bad = (etree.fromstring(write_envelope(DOCUMENT_ENVELOPE)) for _ in range(2))
    bad[0][0][0].remove(bad[0][0][0][3])

    def answer(root: Element) -> str:
        try:
            grammar.check(copy.deepcopy(root))
        except MalformedMessage as error:
            return error.message
        return "valid"

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(answer, [good, bad] * 50))
    assert set(answers[::2]) == {"valid"}
    assert set(answers[1::2]) == {answer(bad)} != {"valid"}
