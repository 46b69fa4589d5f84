"""Documents from the facts that people write in `meta.toml`."""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime, timedelta

import pytest

from schemas import metadata as metadata_module
from schemas.codes import AgencyCode
from schemas.errors import Rejected
from schemas.message import BusinessType, Document, Organ, Priority, ReceiverType
from schemas.metadata import AttachmentFacts, document_from_metadata, expiry_from_metadata, sender_from_metadata

G22 = Organ(organ_id=AgencyCode.parse("G22"), organ_name="Văn phòng Chính phủ")
H23 = AgencyCode.parse("H23")
H31 = AgencyCode.parse("H31")
#: Already the next day in Vietnam.
LATE = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)

LEAST: dict[str, object] = {
    "subject": "V/v gửi, nhận văn bản điện tử",
    "code": "6101/VPCP-KSTT",
    "place": "Hà Nội",
    "signer": "Nguyễn Thị Lan",
}


def build(extra: dict[str, object] | None = None, recipients: tuple[AgencyCode, ...] = (H23,)) -> Document:
    return document_from_metadata(LEAST | (extra or {}), sender=G22, recipients=recipients, now=LATE, attachments=())


def example() -> dict[str, object]:
    docstring = metadata_module.__doc__ or ""
    return tomllib.loads("\n".join(line[4:] for line in docstring.splitlines() if line.startswith("    ")))


def test_four_keys_make_a_whole_document() -> None:
    """What is not said gets the default that the docstring promises, dates by Vietnam's calendar."""
    document = build()
    assert document.document_id == "G22,2026/11/21,6101/VPCP-KSTT"
    assert (document.code.number, document.code.notation) == ("6101", "VPCP-KSTT")
    assert document.promulgation.date.text == "2026/11/21"
    assert document.content == document.subject
    assert document.document_type.type_detail == 18
    assert document.signer.full_name == "Nguyễn Thị Lan"
    assert document.priority is Priority.NORMAL
    assert document.business_type is BusinessType.NEW
    assert document.sender == G22
    assert [organ.organ_id for organ in document.recipients] == [H23]
    assert [(hop.organ_id, hop.timestamp.text) for hop in document.trace] == [(G22.organ_id, "2026/11/21 01:30:00")]


def test_the_example_of_the_docstring_is_a_replacement_for_two_agencies() -> None:
    """The example that people copy is accepted as it stands."""
    document = document_from_metadata(example(), sender=G22, recipients=(), now=LATE, attachments=())
    assert [organ.organ_id.value for organ in document.recipients] == ["H23", "000.00.00.H31"]
    assert document.priority is Priority.EXPRESS
    assert document.due_date is not None
    assert document.due_date.text == "2026/12/01"
    assert document.business is not None
    assert document.business.type is BusinessType.REPLACE
    assert document.business.replacements is not None
    assert document.business.replacements[0].organ_ids == (H23,)


def test_attachments_are_named_by_their_content() -> None:
    """Each attachment is a line of the manifest under its own name, with the id that travels."""
    facts = AttachmentFacts(name="a.pdf", digest="0" * 64, size=3, content_type="application/pdf")
    twin = AttachmentFacts(name="b.pdf", digest="0" * 64, size=3, content_type="application/pdf", description="Bản sao")
    document = document_from_metadata(LEAST, sender=G22, recipients=[H23], now=LATE, attachments=[facts, twin])
    assert [(r.content_id, r.attachment_name, r.description) for r in document.references] == [
        ("sha256-" + "0" * 64, "a.pdf", "a.pdf"),
        ("sha256-" + "0" * 64, "b.pdf", "Bản sao"),
    ]


def test_recipients_given_replace_those_of_the_metadata_and_keep_their_names() -> None:
    """`node send --to` decides who gets it, and a table under `to` still names the agency."""
    extra: dict[str, object] = {"to": [{"organ_id": "H31", "organ_name": "UBND tỉnh Hưng Yên"}, "G12"]}
    document = build(extra, recipients=(H23, H31))
    assert [(organ.organ_id, organ.organ_name) for organ in document.recipients] == [
        (H23, None),
        (H31, "UBND tỉnh Hưng Yên"),
    ]


@pytest.mark.parametrize("written", ["hỏa tốc", "Hoả  Tốc", "express", 3, "3"])
def test_a_priority_is_said_in_words_or_as_a_number(written: object) -> None:
    """Both spellings of hỏa tốc, the English name and the number mean the express lane."""
    assert build({"priority": written}).priority is Priority.EXPRESS


@pytest.mark.parametrize(
    "written", ["2026-11-02", "2026/11/02", "02/11/2026", datetime(2026, 11, 2, tzinfo=UTC).date()]
)
def test_a_date_in_any_common_form_is_written_canonically(written: object) -> None:
    """TOML dates, ISO texts and the Vietnamese order all give `yyyy/MM/dd`."""
    assert build({"date": written}).promulgation.date.text == "2026/11/02"


def test_a_recall_and_an_update_say_what_they_change() -> None:
    """A recall carries ResponseFor; an update carries the id and the receivers added and removed."""
    recall = build({"business": {"type": "recall"}, "response_for": [{"document_id": "G22,x"}]})
    assert recall.response_for[0].document_id == "G22,x"
    assert recall.business_type is BusinessType.RECALL
    receivers = [{"organ_id": "H31", "receiver_type": "removed"}, {"organ_id": "H27", "receiver_type": 1}]
    info = {"document_receiver": True, "receivers": receivers}
    update = build({"business": {"type": 2, "document_id": "G22,x", "document_info": info}})
    assert update.business is not None
    assert update.business.document_info is not None
    assert [r.receiver_type for r in update.business.document_info.receivers] == [
        ReceiverType.REMOVED,
        ReceiverType.ADDED,
    ]


@pytest.mark.parametrize(
    ("extra", "key", "said"),
    [
        ({"subjct": "x"}, "subjct", "did you mean `subject`?"),
        ({"subject": ""}, "subject", "at least 1 character"),
        ({"subject": 5}, "subject", "valid string"),
        ({"signer": {"full_name": 7}}, "signer.full_name", "valid string"),
        ({"code": "6101"}, "code", "6101/VPCP-KSTT"),
        ({"signer": {"position": "x"}}, "signer.full_name", "is missing"),
        ({"to": ["h 23"]}, "to.0.organ_id", "h 23"),
        ({"date": "2026/02/30"}, "date", "a day that exists"),
        ({"priority": 9}, "priority", "0 to 4"),
        ({"priority": True}, "priority", "0 to 4"),
        ({"steering_type": 4}, "steering_type", "less than or equal to 3"),
        ({"business": {"type": "recall"}}, "", "response_for"),
        ({"business": {"type": "update"}}, "", "business.document_id"),
        ({"business": {"type": "replace"}}, "", "business.replacements"),
    ],
)
def test_a_wrong_key_is_named_with_what_it_needs(extra: dict[str, object], key: str, said: str) -> None:
    """The error's element is the key as it was written, and its sentence says what would be right."""
    with pytest.raises(Rejected) as caught:
        build(extra)
    assert caught.value.code == "metadata-invalid"
    assert caught.value.element == key
    assert said in caught.value.message


def test_a_missing_key_is_named() -> None:
    """Metadata without a subject says so, and an empty file names every key that it lacks."""
    with pytest.raises(Rejected) as caught:
        document_from_metadata({}, sender=G22, recipients=[H23], now=LATE, attachments=())
    for key in ("code", "place", "subject", "signer"):
        assert f"`{key}` is missing" in caught.value.message


@pytest.mark.parametrize("level", ["mat", "tối mật", "x"])
def test_a_document_marked_secret_never_becomes_a_message(level: str) -> None:
    """Any secrecy level in the metadata refuses the document."""
    with pytest.raises(Rejected) as caught:
        build({"secrecy": level})
    assert caught.value.code == "state-secret"


def test_a_text_that_peers_would_cut_is_refused_when_written() -> None:
    """501 characters of subject are refused, 500 are not: our own documents stay within what receivers store."""
    assert len(build({"subject": "ế" * 500}).subject) == 500
    with pytest.raises(Rejected) as caught:
        build({"subject": "ế" * 501})
    assert (caught.value.code, caught.value.element) == ("text-beyond-peers", "MessageHeader/Subject")


def test_metadata_from_another_agency_is_refused() -> None:
    """One agency's metadata is not sent by another by mistake."""
    assert sender_from_metadata({**LEAST, "from": "H23"}) == Organ(organ_id=H23)
    assert sender_from_metadata(LEAST) is None
    with pytest.raises(Rejected) as caught:
        build({"from": "H23"})
    assert caught.value.code == "sender-mismatch"


def test_a_recipient_named_twice_is_refused() -> None:
    """A repeated OrganId is an error of the form (edxml.md), found before it is written."""
    with pytest.raises(Rejected) as caught:
        build(recipients=(H23, H31, H23))
    assert caught.value.code == "recipient-repeated"


MOMENT = datetime(2026, 12, 1, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("90m", LATE + timedelta(minutes=90)),
        ("2h", LATE + timedelta(hours=2)),
        (" 1.5D ", LATE + timedelta(hours=36)),
        ("2026-12-01T17:00:00+07:00", MOMENT),
        ("2026-12-01 17:00", MOMENT),
        (MOMENT, MOMENT),
        (datetime(2026, 12, 1, 17), MOMENT),  # noqa: DTZ001 - a local time of TOML
        ("2026-12-01", datetime(2026, 12, 1, 17, 0, tzinfo=UTC)),
        (date(2026, 12, 1), datetime(2026, 12, 1, 17, 0, tzinfo=UTC)),
    ],
)
def test_an_expiry_is_an_instant_or_a_time_from_the_sending_on(written: object, meant: datetime) -> None:
    """A length counts from the sending, a time without zone is Vietnam's, and a day is over at its midnight."""
    expiry = expiry_from_metadata(LEAST | {"expires_at": written}, LATE)
    assert expiry == meant
    assert expiry is not None
    assert expiry.utcoffset() == timedelta(0)


def test_a_document_without_expiry_has_none() -> None:
    """Silence leaves the end to the hub."""
    assert expiry_from_metadata(LEAST, LATE) is None


@pytest.mark.parametrize("written", ["soon", "2", "2w", "-2h", "99999d", "9999-12-31", "", 7, True])
def test_what_is_no_expiry_is_refused_by_its_key(written: object) -> None:
    """A text that is neither length nor instant, or beyond the calendar, is refused, with both forms."""
    with pytest.raises(Rejected, match="2h or 3d") as caught:
        expiry_from_metadata(LEAST | {"expires_at": written}, LATE)
    assert (caught.value.code, caught.value.element) == ("metadata-invalid", "expires_at")
