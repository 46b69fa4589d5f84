"""The strict writer of the classic form: what strict receivers need, read back without loss."""

from __future__ import annotations

import base64
import io
import re
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from schemas.classic_reader import read_classic
from schemas.classic_writer import AttachmentSource, write_classic
from schemas.codes import AgencyCode
from schemas.errors import Rejected
from schemas.findings import Finding
from schemas.limits import MIB
from schemas.message import Document, Message, Organ, Reference, ResponseFor, StatusMessage
from schemas.metadata import document_from_metadata
from schemas.namespaces import QCVN
from schemas.times import DateText, TimestampText
from schemas.validation import Grammar
from tests.schemas.classic_files import UUID, Sinks, pieces, zipped
from tests.schemas.strategies import documents, line_texts, statuses

CLASSIC = Grammar("classic.xsd")
NOW = datetime(2026, 11, 20, 1, 15, tzinfo=UTC)
G22 = Organ(organ_id=AgencyCode.parse("G22"))
H23 = AgencyCode.parse("H23")

#: Contents that readers could take for something else: empty, archives, archives that look like wrappings.
AWKWARD = [
    b"",
    b"PK",
    b"PK\x05\x06" + bytes(18),
    b"PK\x03\x04",
    zipped("1.pdf", b"%PDF"),
    zipped(f"{UUID}.zip", b"x"),
    zipped(f"{UUID}.docx", b"x"),
    zipped(f"{UUID}.pdf", b"%PDF"),
]
NAMES = [
    "Tờ trình.pdf",
    "Phụ lục số 1.docx",
    "hồ sơ.zip",
    "HỒ SƠ.ZIP",
    "không đuôi",
    "a.",
    ".zip",
    "x.tar.gz",
    "ưu.đ",
    "",
]

Contents = list[tuple[str, bytes]]


def contents() -> st.SearchStrategy[Contents]:
    """Names and bytes of attachments; some bytes stand twice under two names."""
    content = st.sampled_from(AWKWARD) | st.binary(max_size=400)
    single = st.tuples(st.sampled_from(NAMES) | line_texts(), content)
    twins = st.builds(
        lambda made, name: [*made, (name, made[0][1])], st.lists(single, min_size=1, max_size=2), line_texts()
    )
    return st.lists(single, max_size=3) | twins


def with_attachments(document: Document, made: Contents) -> tuple[Document, list[AttachmentSource]]:
    sources = [
        AttachmentSource(
            content_id=f"sha256-{sha256(data).hexdigest()}",
            name=name,
            description=f"Mô tả {name}".strip(),
            size=len(data),
            open=lambda data=data: io.BytesIO(data),  # type: ignore[misc] # the default binds this turn's bytes
        )
        for name, data in made
    ]
    references = tuple(
        Reference(
            content_id=source.content_id,
            content_type="application/octet-stream",
            attachment_name=source.name,
            description=source.description,
        )
        for source in sources
    )
    return replace(document, references=references), sources


def simple(**extra: object) -> Document:
    metadata = {"subject": "V/v báo cáo", "code": "6101/VPCP-KSTT", "place": "Hà Nội", "signer": "Nguyễn Thị Lan"}
    return document_from_metadata(metadata | extra, sender=G22, recipients=[H23], now=NOW, attachments=())


def written(message: Message, sources: list[AttachmentSource] | None = None) -> tuple[bytes, tuple[Finding, ...]]:
    parts: list[bytes] = []
    findings = write_classic(message, sources or [], parts.append)
    return b"".join(parts), findings


def parsed(data: bytes) -> etree._Element:
    return etree.fromstring(data, etree.XMLParser(resolve_entities=False))


@given(documents().filter(lambda made: made.document_id), contents(), st.integers(1, 5000))
def test_a_document_is_read_back_as_it_was(document: Document, made: Contents, size: int) -> None:
    """Every optional element, any text, and attachments that are empty, equal, archives or oddly named come back."""
    document, sources = with_attachments(document, made)
    sinks = Sinks()
    data, _ = written(document, sources)
    message = read_classic(pieces(data, size), sinks.open, source="own.edxml")
    assert message.message == document
    assert sinks.contents == [content for _, content in made]
    assert [(one.content_id, one.name, one.description, one.size) for one in message.attachments] == [
        (source.content_id, source.name, source.description, source.size) for source in sources
    ]
    assert {one.content_type for one in message.attachments} <= {"application/zip"}
    assert not message.placeholder_signature


@pytest.mark.parametrize("name", NAMES)
def test_no_content_is_taken_for_another(name: str) -> None:
    """Under every odd name, what is empty, an archive, or looks like a wrapping comes back as it was."""
    document, sources = with_attachments(simple(), [(name, content) for content in AWKWARD])
    sinks = Sinks()
    read_classic([written(document, sources)[0]], sinks.open, source="own.edxml")
    assert sinks.contents == AWKWARD


@given(statuses())
def test_a_status_is_read_back_as_it_was(status: StatusMessage) -> None:
    """Every optional element of a status, with any text, comes back."""
    data, _ = written(status)
    assert read_classic([data], Sinks().open, source="own.edxml").message == status


@given(documents(line_texts()), contents())
def test_what_is_written_is_valid_and_without_findings(document: Document, made: Contents) -> None:
    """Texts that strict receivers take give a file that our XSD accepts and in which our reader finds no fault."""
    document, sources = with_attachments(document, [(name or "x", data) for name, data in made])
    data, findings = written(document, sources)
    reread = read_classic([data], Sinks().open, source="own.edxml")
    blemishes = {finding.code for finding in (*findings, *reread.warnings)}
    wrapped_archives = {name for name, data in made if name.endswith(".zip") and data.startswith(b"PK\x03\x04")}
    assert blemishes <= {"response-for-empty", "text-beyond-peers"} | (
        {"content-wrapped"} if wrapped_archives else set()
    )
    if not findings:
        CLASSIC.check(parsed(data))


@given(statuses(line_texts()))
def test_a_written_status_is_valid(status: StatusMessage) -> None:
    """A status has the order and the texts of the strict form."""
    CLASSIC.check(parsed(written(status)[0]))


def test_the_form_is_the_one_that_strict_readers_know() -> None:
    """Default namespace on the root, edXML: inside the envelope, no prefix on attachments, nothing between elements."""
    document, sources = with_attachments(simple(), [("a.pdf", b"%PDF")])
    data, _ = written(document, sources)
    text = data.decode()
    assert text.startswith(
        f'<?xml version="1.0" encoding="UTF-8"?>\n<edXML xmlns="{QCVN}"><edXML:edXMLEnvelope xmlns:edXML="{QCVN}">'
        "<edXML:edXMLHeader><edXML:MessageHeader><edXML:From><edXML:OrganId>G22</edXML:OrganId>"
    )
    assert text.endswith("</ContentTransferEncoded></Attachment></AttachmentEncoded></edXML>\n")
    assert "<edXML:SteeringType>0</edXML:SteeringType>" in text
    attached = text.partition("</edXML:edXMLEnvelope>")[2]
    assert attached.startswith("<AttachmentEncoded><Attachment><ContentId>cid:sha256-")
    assert re.findall(r"<(\w+)>", attached) == [
        "AttachmentEncoded",
        "Attachment",
        "ContentId",
        "AttachmentName",
        "Description",
        "ContentType",
        "ContentTransferEncoded",
    ]
    for forbidden in ("Signature", "Extension", "urn:congvan"):
        assert forbidden not in text
    assert all(element.tail is None for element in parsed(data).iter() if element.getparent() is not None)


def entry_of(data: bytes, index: int) -> bytes:
    text = parsed(data).findall(f".//{{{QCVN}}}ContentTransferEncoded")[index].text or ""
    return base64.b64decode(text, validate=True)


def test_each_attachment_is_one_flat_entry_of_its_own_name() -> None:
    """Python's zipfile finds one intact entry `<uuid>.<extension>` in each, unique although the bytes are equal."""
    document, sources = with_attachments(simple(), [("Tờ trình.PDF", b"%PDF"), ("b", b"%PDF"), ("c.đ", b"")])
    data, _ = written(document, sources)
    names = []
    for index, content in enumerate([b"%PDF", b"%PDF", b""]):
        with zipfile.ZipFile(io.BytesIO(entry_of(data, index))) as archive:
            assert archive.testzip() is None
            (name,) = archive.namelist()
            assert archive.read(name) == content
            names.append(name)
    assert [re.sub(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "", name) for name in names] == [
        ".pdf",
        ".unk",
        ".unk",
    ]
    assert len(set(names)) == 3


def test_an_archive_goes_as_it_is() -> None:
    """A `.zip` is base64 of itself under `application/zip`; `.ZIP`, which strict readers unwrap, is wrapped."""
    archive = zipped("1.pdf", b"%PDF")
    document, sources = with_attachments(simple(), [("hồ sơ.zip", archive), ("HỒ SƠ.ZIP", archive)])
    data, _ = written(document, sources)
    assert entry_of(data, 0) == archive
    with zipfile.ZipFile(io.BytesIO(entry_of(data, 1))) as wrapping:
        assert wrapping.read(wrapping.namelist()[0]) == archive


def test_equal_input_gives_equal_bytes() -> None:
    """Nothing of the clock or of chance is written; another document id gives other entry names."""
    document, sources = with_attachments(simple(), [("a.pdf", b"%PDF")])
    assert written(document, sources) == written(document, sources)
    other = replace(document, document_id="khác")
    assert zipfile.ZipFile(io.BytesIO(entry_of(written(other, sources)[0], 0))).namelist() != (
        zipfile.ZipFile(io.BytesIO(entry_of(written(document, sources)[0], 0))).namelist()
    )


def test_a_large_attachment_of_zeros_is_no_bomb_to_our_reader() -> None:
    """What packs a thousandfold is packed less, so that careful receivers do not refuse it."""
    content = bytes(40 * MIB)
    document, sources = with_attachments(simple(), [("trống.bin", content)])
    data, _ = written(document, sources)
    sinks = Sinks()
    read_classic(pieces(data, 65_536), sinks.open, source="zeros.edxml")
    assert sinks.contents == [content]
    assert len(data) < len(content) / 20


def test_known_dates_are_written_canonically_and_others_kept() -> None:
    """dd/MM/yyyy becomes yyyy/MM/dd, a day that never was stays and is reported with its place."""
    answered = ResponseFor(document_id="x", promulgation_date=DateText("2014/02/30"))
    document = replace(simple(), due_date=DateText("01/12/2026"), response_for=(answered,))
    document = replace(document, trace=(replace(document.trace[0], timestamp=TimestampText("20/11/2026 08:15:00")),))
    data, findings = written(document)
    text = data.decode()
    assert "<edXML:DueDate>2026/12/01</edXML:DueDate>" in text
    assert "<edXML:Timestamp>2026/11/20 08:15:00</edXML:Timestamp>" in text
    assert "<edXML:PromulgationDate>2014/02/30</edXML:PromulgationDate>" in text
    assert [(finding.code, finding.element, finding.strict_refuses) for finding in findings] == [
        ("date-impossible", "MessageHeader/ResponseFor/PromulgationDate", True)
    ]


def test_a_text_beyond_what_peers_take_is_written_whole_and_reported() -> None:
    """A subject of 600 characters is not cut in silence: it is written whole, and the finding names it."""
    document = replace(simple(), subject="ế" * 600)
    data, findings = written(document)
    assert ("ế" * 600).encode() in data
    assert [(finding.code, finding.element) for finding in findings] == [("text-beyond-peers", "MessageHeader/Subject")]


def broken(document: Document, **changes: object) -> Document:
    return replace(document, **changes)  # type: ignore[arg-type] # the cases name fields of Document


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"recipients": ()}, "no-recipient"),
        ({"recipients": (Organ(organ_id=H23), G22, Organ(organ_id=H23))}, "recipient-repeated"),
        ({"document_id": ""}, "document-id-empty"),
        ({"subject": "chuông\x07"}, "text-not-carried"),
        ({"subject": "hai\r\ndòng"}, "text-not-carried"),
        (
            {"references": (Reference(content_id="1", content_type="", attachment_name="a", description=""),)},
            "attachments-unmatched",
        ),
    ],
)
def test_what_the_form_cannot_carry_is_refused(changes: dict[str, object], code: str) -> None:
    """No recipient, one twice, a control character, a manifest of other attachments: nothing is written."""
    parts: list[bytes] = []
    with pytest.raises(Rejected) as caught:
        write_classic(broken(simple(), **changes), [], parts.append)
    assert caught.value.code == code
    assert parts == []


def test_a_status_takes_no_attachments() -> None:
    """The classic form has no place for them."""
    _, sources = with_attachments(simple(), [("a.pdf", b"%PDF")])
    status = read_classic([written_status()], Sinks().open, source="status.edxml").message
    with pytest.raises(Rejected) as caught:
        write_classic(status, sources, lambda _data: None)
    assert caught.value.code == "attachments-unmatched"


def written_status() -> bytes:
    return (
        f'<edXML xmlns="{QCVN}"><edXMLEnvelope><edXMLHeader><MessageHeader><From><OrganId>H23</OrganId></From>'
        "<StatusCode>01</StatusCode><Timestamp>2026/11/20 08:15:00</Timestamp></MessageHeader></edXMLHeader>"
        "</edXMLEnvelope></edXML>"
    ).encode()


@pytest.mark.parametrize("size", [3, 5])
def test_a_source_of_another_size_is_refused(size: int) -> None:
    """A blob that lost or gained bytes does not become an attachment."""
    document, (source,) = with_attachments(simple(), [("a.pdf", b"%PDF")])
    with pytest.raises(Rejected) as caught:
        written(document, [replace(source, size=size)])
    assert caught.value.code == "attachment-size-wrong"
