"""The lenient reader of the classic form: what it bears, what it reports, what it refuses and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.classic_reader import ClassicMessage, read_classic
from schemas.errors import MalformedCode, MalformedMessage, Rejected
from schemas.message import Document, Priority, StatusCode, StatusMessage
from schemas.times import DateText
from tests.schemas.classic_files import SAMPLES, VECTORS, codes, document, edited, read

BAD_SAMPLES = {
    "bytes_before_prolog": ("bytes-before-prolog", 1, None),
    "damaged_base64": ("base64-damaged", 102, "AttachmentEncoded/Attachment/ContentTransferEncoded"),
    "doctype_entities": ("doctype-forbidden", 2, None),
    "doubled_tag": ("start-tag-doubled", 6, "MessageHeader/From"),
    "no_recipient": ("no-recipient", 5, "MessageHeader"),
    "truncated": ("truncated", 65, None),
    "unbound_prefix": ("unbound-prefix", 3, None),
}

CONTENT = "AttachmentEncoded/Attachment/ContentTransferEncoded"
BAD = {
    "attachment_without_content": ("attachment-without-content", 53, "AttachmentEncoded/Attachment"),
    "attachments_in_no_namespace": ("wrong-namespace", 56, "AttachmentEncoded"),
    "base64_character": ("base64-damaged", 63, CONTENT),
    "base64_joined": ("base64-damaged", 62, CONTENT),
    "base64_truncated": ("base64-truncated", 62, CONTENT),
    "billion_laughs": ("doctype-forbidden", 2, None),
    "binary": ("not-xml", 1, None),
    "business_type_unknown": ("business-type-unknown", 44, "TraceHeaderList/Bussiness/BussinessDocType"),
    "bytes_after_root": ("bytes-after-root", 66, None),
    "bytes_before_prolog": ("bytes-before-prolog", 2, None),
    "declared_windows_1258": ("encoding-unknown", 1, None),
    "doctype": ("doctype-forbidden", 2, None),
    "document_id_missing": ("element-missing", 5, "MessageHeader"),
    "doubled_start_tag": ("start-tag-doubled", 29, "MessageHeader/SignerInfo"),
    "empty": ("file-empty", None, None),
    "header_missing": ("element-missing", 2, "edXMLEnvelope"),
    "markup_in_content": ("text-with-markup", 62, CONTENT),
    "markup_in_subject": ("text-with-markup", 27, "MessageHeader/Subject"),
    "mismatched_tag": ("not-well-formed", 32, None),
    "namespace_2019": ("wrong-namespace", 2, "edXML"),
    "no_namespace": ("wrong-namespace", 2, "edXML"),
    "no_recipient": ("no-recipient", 5, "MessageHeader"),
    "not_utf8": ("not-well-formed", 31, None),
    "other_root": ("not-edxml", 2, None),
    "recipient_repeated": ("recipient-repeated", 13, "MessageHeader/To[2]"),
    "recipient_without_code": ("malformed-code", 11, "MessageHeader/To/OrganId"),
    "sealed_form": ("envelope-sealed-form", 44, "edXMLHeader"),
    "sender_code_malformed": ("malformed-code", 7, "MessageHeader/From/OrganId"),
    "status_code_unknown": ("status-code-unknown", 6, "MessageHeader/StatusCode"),
    "subject_twice": ("element-repeated", 28, "MessageHeader/Subject[2]"),
    "text_before_prolog": ("bytes-before-prolog", 1, None),
    "truncated": ("truncated", 28, None),
    "truncated_content": ("truncated", 62, None),
    "two_contents": ("element-repeated", 54, "AttachmentEncoded/Attachment"),
    "unbound_attribute_prefix": ("unbound-prefix", 27, None),
    "unbound_prefix": ("unbound-prefix", 3, None),
    "undefined_entity": ("not-well-formed", 27, None),
    "utf16_damaged": ("encoding-damaged", 65, None),
    "zip_crc": ("zip-damaged", 62, CONTENT),
    "zip_entry_backslash": ("entry-name-unsafe", 62, CONTENT),
    "zip_entry_folder": ("entry-name-unsafe", 62, CONTENT),
    "zip_entry_up": ("entry-name-unsafe", 62, CONTENT),
    "zip_several_entries": ("zip-several-entries", 62, CONTENT),
    "zip_trailing_bytes": ("zip-damaged", 62, CONTENT),
    "zip_truncated": ("zip-damaged", 62, CONTENT),
    "zip_without_directory": ("zip-damaged", 62, CONTENT),
    "zip_without_entry": ("zip-without-entry", 62, "AttachmentEncoded/Attachment"),
}


def _bad_files() -> list[tuple[Path, tuple[str, int | None, str | None]]]:
    own = [(path, BAD[path.stem]) for path in sorted((VECTORS / "bad").iterdir())]
    shared = [(path, BAD_SAMPLES[path.stem]) for path in sorted((SAMPLES / "bad").glob("*.edxml"))]
    return own + shared


def _good_files() -> list[Path]:
    return sorted(VECTORS.glob("*.edxml")) + sorted(SAMPLES.glob("*.edxml"))


def vector(name: str) -> tuple[ClassicMessage, list[bytes]]:
    return read((VECTORS / f"{name}.edxml").read_bytes())


def vector_document(name: str) -> Document:
    message = vector(name)[0].message
    assert isinstance(message, Document)
    return message


@pytest.mark.parametrize(("path", "expected"), _bad_files(), ids=lambda value: getattr(value, "stem", None))
@pytest.mark.parametrize("size", [7, 1000, 1_000_000])
def test_a_bad_file_is_refused_with_file_line_and_rule(
    path: Path, expected: tuple[str, int | None, str | None], size: int
) -> None:
    """Each fault is refused for its own reason, at its line and element, however the bytes arrive."""
    code, line, element = expected
    with pytest.raises(Rejected) as caught:
        read(path.read_bytes(), size=size, source=path.name)
    error = caught.value
    assert (error.code, error.line, error.element) == (code, line, element)
    assert error.source == path.name
    assert isinstance(error, MalformedMessage | MalformedCode)


def test_each_bad_vector_has_an_expectation() -> None:
    """No expectation stands for a file that is gone."""
    assert {path.stem for path in (VECTORS / "bad").iterdir()} == set(BAD)


@pytest.mark.parametrize("path", _good_files(), ids=lambda path: path.stem)
def test_a_real_file_is_read_alike_however_it_arrives(path: Path) -> None:
    """Message, attachments and findings do not depend on where the pieces of the file are cut."""
    whole, whole_contents = read(path.read_bytes(), size=1_000_000)
    for size in (1, 61, 1024):
        parts, contents = read(path.read_bytes(), size=size)
        assert (parts.message, parts.attachments, parts.warnings) == (
            whole.message,
            whole.attachments,
            whole.warnings,
        )
        assert contents == whole_contents


@pytest.mark.parametrize("path", _good_files(), ids=lambda path: path.stem)
def test_every_attachment_comes_out_as_the_file_that_was_meant(path: Path) -> None:
    """What comes out begins as its name says: no ZIP under a name of another type."""
    message, contents = read(path.read_bytes())
    assert [attachment.size for attachment in message.attachments] == [len(content) for content in contents]
    for attachment, content in zip(message.attachments, contents, strict=True):
        assert content.startswith(b"PK") == attachment.name.endswith(".zip")
        assert content.startswith(b"%PDF") == attachment.name.endswith(".pdf")


def test_any_order_any_prefix_and_comments_give_the_same_message() -> None:
    """Elements in reverse, one prefix for all, attachments first and each content before its name: all is read."""
    read_message, contents = vector("any_order")
    message = read_message.message
    assert isinstance(message, Document)
    assert codes(read_message) == []
    assert message.sender.organ_name == "UBND Thành phố Hồ Chí Minh"
    assert [organ.organ_id.value for organ in message.recipients] == ["H29.8", "000.23.32.H53"]
    assert (message.code.number, message.code.notation) == ("311A", "KH-UBND")
    assert message.subject == "V/v ban hành kế hoạch chuyển đổi số"
    assert message.content == "Kế hoạch chuyển đổi số <2027> & những năm tiếp theo"
    assert message.priority is Priority.URGENT
    assert message.business is not None
    assert message.business.paper
    assert message.references[0].content_id == read_message.attachments[0].content_id == "kehoach"
    assert read_message.attachments[0].name == "Kế hoạch chuyển đổi số 2027.pdf"
    assert contents[0].startswith(b"%PDF-1.4")


def test_what_vnpts_library_writes_is_read() -> None:
    """Doubled `cid:`, Bussiness lists, the word null, a placeholder signature and an archive wrapped once more."""
    read_message, contents = vector("vnpt_library")
    message = read_message.message
    assert isinstance(message, Document)
    assert [reference.content_id for reference in message.references] == ["1", "2"]
    assert [attachment.content_id for attachment in read_message.attachments] == ["1", "2"]
    assert message.trace[0].organ_id is None
    assert message.business is not None
    assert message.business.replacements is not None
    assert [one.document_id for one in message.business.replacements] == [
        "H53,2026/11/10,2001/UBND-NC",
        "H53,2026/11/11,2002/UBND-NC",
    ]
    assert read_message.placeholder_signature
    assert codes(read_message) == ["unknown-element", "agency-unknown", "signature-placeholder", "content-wrapped"]
    assert contents[0].startswith(b"PK")
    assert b"bieu mau.csv" in contents[0]


def test_odd_dates_are_kept_and_reported() -> None:
    """A day that never was and other forms stand as they were written; each is reported with its line."""
    message, _ = vector("odd_dates")
    document_ = vector_document("odd_dates")
    assert document_.promulgation.date == DateText("2026/02/30")
    assert document_.due_date == DateText("30/11/2026")
    assert document_.trace[0].timestamp.text == "18/11/2026 16:45:10"
    assert document_.trace[0].timestamp.instant is not None
    assert [(finding.code, finding.line) for finding in message.warnings] == [
        ("date-impossible", 20),
        ("date-form", 33),
        ("time-form", 42),
    ]


@pytest.mark.parametrize("name", ["utf8_marked", "utf16", "utf16_unmarked", "utf8_called_utf16"])
def test_every_encoding_of_the_axis_gives_the_same_message(name: str) -> None:
    """UTF-8 with its mark, UTF-16 with and without, and UTF-8 that calls itself UTF-16 read alike."""
    document_ = vector_document(name)
    assert document_.signer.full_name == "Trần Văn Mẫu"
    assert document_ == vector_document("utf8_marked")
    assert codes(vector(name)[0]) == (["encoding-mislabelled"] if name == "utf8_called_utf16" else [])


def test_gaps_are_filled_with_neutral_values_and_reported() -> None:
    """A document without its optional parts is read; everything that was guessed or left out is a finding."""
    message, _ = vector("gaps")
    gaps = vector_document("gaps")
    assert gaps.sender.organ_id.value == "H53"
    assert (gaps.subject, gaps.promulgation.date.text, gaps.document_type.type) == ("", "", 0)
    assert gaps.due_date is None
    assert gaps.priority is Priority.NORMAL
    assert gaps.steering_type == 0
    assert gaps.trace == ()
    found = set(codes(message))
    assert {"element-missing", "number-unknown", "number-unreadable", "date-empty", "response-for-empty"} <= found
    assert {"foreign-element", "white-space"} <= found


def test_an_element_of_another_namespace_never_stands_for_one_of_edxml() -> None:
    """A later Subject in a foreign namespace, which VNPT's reader takes for the real one, changes nothing here."""
    data = document(header='<Subject>Thật</Subject><Subject xmlns="urn:q">Giả</Subject>')
    message, _ = read(data)
    assert isinstance(message.message, Document)
    assert message.message.subject == "Thật"
    assert "foreign-element" in codes(message)


def test_a_comment_hides_no_part_of_a_value() -> None:
    """Text on both sides of a comment or an instruction is one value."""
    message, _ = read(document(to="<To><OrganId>H23<!-- x -->.1<?y z?>2</OrganId></To>"))
    assert isinstance(message.message, Document)
    assert message.message.recipients[0].organ_id.value == "H23.12"


def test_a_carriage_return_is_read_as_a_line_feed() -> None:
    """A text with `&#13;` can be sealed and written again, and the change is reported."""
    message, _ = read(document(header="<Subject>a&#13;&#10;b&#13;c</Subject>"))
    assert isinstance(message.message, Document)
    assert message.message.subject == "a\nb\nc"
    assert "carriage-return" in codes(message)


def test_a_signature_is_never_reported_as_valid() -> None:
    """A Signature in the edXML namespace is a placeholder, one of XML-DSig is unverified; neither counts."""
    samples = (VECTORS / "odd_dates.edxml").read_bytes()
    placed = '<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo/></Signature></edXML:edXMLHeader>'
    message, _ = read(edited(samples, lambda text: text.replace("</edXML:edXMLHeader>", placed)))
    assert not message.placeholder_signature
    assert "signature-unverified" in codes(message)


def test_a_sparse_status_is_read() -> None:
    """A status in any order, with an empty ResponseFor and a code of one digit, keeps what it says."""
    message, _ = vector("status_sparse")
    assert isinstance(message.message, StatusMessage)
    assert message.message.status_code is StatusCode.ACCEPTED
    assert message.message.sender.organ_id.value == "14.00.W00"
    assert message.message.response_for.document_id is None
    assert codes(message) == ["status-code-form", "response-for-empty"]


def test_a_status_with_the_parts_of_a_document_says_so() -> None:
    """A body in a status is left out with a finding, never read as a document."""
    data = (VECTORS / "status_sparse.edxml").read_bytes()
    message, _ = read(edited(data, lambda text: text.replace("</edXMLEnvelope>", "<edXMLBody/></edXMLEnvelope>")))
    assert isinstance(message.message, StatusMessage)
    assert "status-with-document-parts" in codes(message)


def test_attachments_inside_the_envelope_are_found_and_reported() -> None:
    """AttachmentEncoded one level too deep loses nothing here, and the finding says that others lose it."""
    text = document(
        "<Attachment><AttachmentName>a.txt</AttachmentName><ContentTransferEncoded>YQ==</ContentTransferEncoded></Attachment>"
    ).decode()
    start, end = text.index("<AttachmentEncoded>"), text.index("</edXML>")
    moved = text[:start].replace("</edXMLEnvelope>", text[start:end] + "</edXMLEnvelope>") + text[end:]
    message, contents = read(moved.encode())
    assert contents == [b"a"]
    assert "attachments-misplaced" in codes(message)


def test_the_manifest_is_compared_with_what_the_file_holds() -> None:
    """A reference without an attachment, and an attachment without a reference, are both reported."""
    data = (VECTORS / "plain_archive.edxml").read_bytes()
    message, _ = read(edited(data, lambda text: text.replace("<ContentId>1<", "<ContentId>9<")))
    assert codes(message) == ["attachment-missing", "attachment-not-in-manifest"]


def test_an_attachment_without_a_name_takes_that_of_the_manifest() -> None:
    """VNPT's writer leaves a null name out; the manifest's stands in, and strict receivers would refuse."""
    data = (VECTORS / "plain_archive.edxml").read_bytes()
    message, _ = read(edited(data, lambda text: text.replace("      <AttachmentName>hồ sơ.zip</AttachmentName>\n", "")))
    assert message.attachments[0].name == "hồ sơ.zip"


def test_a_file_of_faults_gives_a_list_that_ends() -> None:
    """Findings do not grow with the file: the last one says how many were left out."""
    few, _ = read(document(header="<Odd/>"))
    many, _ = read(document(header="<Odd/>" * 2000))
    assert len(many.warnings) == 501
    assert many.warnings[-1].code == "findings-left-out"
    assert many.warnings[-1].message == f"{len(few.warnings) + 1999 - 500} more findings are left out."


def test_an_error_of_a_sink_passes_through() -> None:
    """A full disk is no fault of the document: the error comes out as it was raised, and the sink is discarded."""
    endings = []

    class Full:
        def write(self, data: bytes, /) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            endings.append("closed")

        def discard(self) -> None:
            endings.append("discarded")

    data = (VECTORS / "plain_archive.edxml").read_bytes()
    with pytest.raises(OSError, match="No space left"):
        read_classic([data], lambda _index: Full(), source="full.edxml")
    assert endings == ["discarded"]
