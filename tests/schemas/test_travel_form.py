"""What breaks the form of an envelope, or a rule between its elements, is refused by its path and line."""

from __future__ import annotations

import pytest

from tests.schemas.samples import DIGEST, OTHER_DIGEST
from tests.schemas.spoiling import DOCUMENT, STATUS, line_of, put, refused, swap, without

FORMS = [
    # element named, what marks its line, the message
    ("MessageHeader/Priority", b"<edXML:Priority>3", put(b"<edXML:Subject>", b"<edXML:Priority>3</edXML:Priority>")),
    ("MessageHeader/OtherInfo/Priority", b">7</edXML:P", swap(b"<edXML:Priority>0", b"<edXML:Priority>7")),
    ("MessageHeader/DocumentType/Type", b">hai<", swap(b"<edXML:Type>2", b"<edXML:Type>hai")),
    ("MessageHeader/DocumentType/Type", b">999", swap(b"<edXML:Type>2", b"<edXML:Type>" + b"9" * 5000)),
    ("MessageHeader/SteeringType", b">4</edXML:S", swap(b"<edXML:SteeringType>0", b"<edXML:SteeringType>4")),
    ("MessageHeader/From", b"<edXML:From x", swap(b"<edXML:From>", b'<edXML:From x="1">')),
    ("MessageHeader/Subject", b"<edXML:Subject", swap(b"V/v", b"<b/>V/v")),
    ("MessageHeader/Code", b"<edXML:Code>", without(b"<edXML:CodeNotation>", b"</edXML:CodeNotation>")),
    ("edXMLManifest/Reference/ContentId", b"<edXML:ContentId", swap(b"cid:sha256-3a", b"cid:sha256-3A")),
    ("edXMLManifest/Reference/Note", b"<edXML:Note", put(b"<edXML:Description>", b"<edXML:Note/>")),
    ("edXMLManifest", b"<edXML:edXMLManifest", swap(b' version="1.0"', b"")),
    ("Extension/SubmissionId", b"<cv:SubmissionId", swap(b">s-1<", b"><")),
    ("Extension/AttachmentSize", b">-7<", swap(b">7<", b">-7<")),
    ("Extension/Selector", b"<cv:Sel", put(b"<cv:Attach", b'<cv:Selector kind="all">H23</cv:Selector>\n')),
    ("Extension/Secrecy", b"<cv:Sec", put(b"<cv:Attach", b"<cv:Secrecy>none</cv:Secrecy>\n")),
]


@pytest.mark.parametrize(("element", "mark", "data"), FORMS)
def test_what_breaks_the_form_is_explained_where_it_stands(element: str, mark: bytes, data: bytes) -> None:
    """An element that is missing, unknown, out of place or holds no such value is named by path and line."""
    error = refused(data)
    assert (error.code, error.element, error.line) == ("schema-violation", element, line_of(data, mark))
    assert error.mend


def test_the_mend_of_a_missing_element_names_it() -> None:
    """Without our extension an envelope is told what to write."""
    error = refused(without(b"<cv:Extension", b"</cv:Extension>"))
    assert error.code == "schema-violation"
    assert error.mend == "Write cv:Extension here."


def test_a_large_message_that_breaks_the_form_is_explained_too() -> None:
    """Beyond the size that is explained in words, libxml2's sentence and line are given."""
    tasks = b"<edXML:ResponseForTask>" + b"<edXML:TaskCode>1</edXML:TaskCode>\n" * 20_000 + b"<edXML:Task/>"
    data = put(b"</edXML:MessageHeader>", tasks + b"</edXML:ResponseForTask>")
    error = refused(data)
    assert (error.code, error.line) == ("schema-violation", line_of(data, b"<edXML:Task/>"))
    assert "Element 'Task': This element is not expected" in error.message


@pytest.mark.parametrize(
    "data", [b"<edXML/>", b"<html/>", DOCUMENT.replace(b"QCVN_102_2016", b"QCVN_102_2019"), b"<edxml/>"]
)
def test_another_root_is_no_envelope(data: bytes) -> None:
    """Only edXML in the namespace of QCVN 102 is read."""
    assert refused(data).code == "not-edxml"


def test_a_classic_file_is_no_envelope_that_travels() -> None:
    """Attachments inside the message are refused: they travel beside it."""
    error = refused(put(b"</edXML>", b"<AttachmentEncoded><Attachment/></AttachmentEncoded>"))
    assert (error.code, error.element) == ("schema-violation", "AttachmentEncoded")


SECOND = "H23</edXML:OrganId>\n          <edXML:OrganName>UBND tỉnh Hưng Yên".encode()
TWICE = swap(b"<edXML:OrganId>000.00.00.H31", b"<edXML:OrganId>H23")
SELECTOR = b'<cv:Selector kind="prefix">h23</cv:Selector>\n'
SIZE = f'<cv:AttachmentSize digest="{OTHER_DIGEST}">1</cv:AttachmentSize>\n'.encode()
SAME_SIZE = f'<cv:AttachmentSize digest="{DIGEST}">8</cv:AttachmentSize>\n'.encode()
BODY = b'<edXML:edXMLBody><edXML:edXMLManifest version="1.0"/></edXML:edXMLBody>\n'

RULES = [
    # rule, element named, what marks its line (None: there is no such element), the message
    ("no-recipient", "MessageHeader", b"<edXML:MessageHeader>", without(b"<edXML:To>", b"</edXML:To>")),
    ("recipient-repeated", "MessageHeader/To[2]/OrganId", SECOND, TWICE),
    ("malformed-code", "MessageHeader/To/OrganId", b">h23<", swap(b">H23<", b">h23<")),
    (
        "malformed-code",
        "TraceHeaderList/TraceHeader/OrganId",
        b"null",
        swap(b"G22</edXML:OrganId>\n          <edXML:Timestamp", b"null</edXML:OrganId>\n          <edXML:Timestamp"),
    ),
    ("text-not-carried", "MessageHeader/Subject", b"&#13;", swap(b"V/v", b"V/v&#13;")),
    ("text-not-carried", "MessageHeader/Subject", b"&#xD;", swap(b"V/v", b"V/v&#xD;")),
    ("attachment-size-missing", "edXMLManifest/Reference", b"<edXML:Reference>", without(b"<cv:Att", b"Size>")),
    (
        "attachment-size-unmatched",
        "Extension/AttachmentSize",
        b"<cv:Att",
        without(b"<edXML:Reference>", b"</edXML:Reference>"),
    ),
    ("trace-missing", "TraceHeaderList", None, without(b"<edXML:TraceHeaderList>", b"</edXML:TraceHeaderList>")),
    ("malformed-code", "Extension/Selector", b"<cv:Sel", put(b"<cv:Att", SELECTOR)),
    ("attachment-size-repeated", "Extension/AttachmentSize[2]", b">7<", put(b"<cv:Att", SAME_SIZE)),
    ("status-with-document-parts", "edXMLBody", b"<edXML:edXMLBody>", put(b"</edXML:edXMLEnvelope>", BODY, STATUS)),
    ("attachment-size-unmatched", "Extension/AttachmentSize", b"<cv:Att", put(b"</cv:Extension>", SIZE, STATUS)),
]


@pytest.mark.parametrize(("code", "element", "mark", "data"), RULES)
def test_what_one_element_says_of_another_is_checked_with_its_line(
    code: str, element: str, mark: bytes | None, data: bytes
) -> None:
    """The rules beyond the XSD hold for what is read as for what is written, and name the line."""
    error = refused(data)
    assert (error.code, error.element) == (code, element)
    assert error.line == (None if mark is None else line_of(data, mark))


def test_a_fault_in_the_last_of_many_recipients_is_found_at_its_line() -> None:
    """The path of an error leads to its line however many elements stand before it."""
    recipients = b"".join(b"<edXML:To><edXML:OrganId>H23.%d</edXML:OrganId></edXML:To>\n" % n for n in range(3000))
    data = put(b"<edXML:DocumentId>", recipients + b"<edXML:To><edXML:OrganId>H23.7</edXML:OrganId></edXML:To>")
    error = refused(data)
    assert (error.code, error.element) == ("recipient-repeated", "MessageHeader/To[3003]/OrganId")
    assert error.line == line_of(data, b"<edXML:DocumentId>")
