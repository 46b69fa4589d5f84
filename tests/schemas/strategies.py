"""Hypothesis strategies for the values of the language, every optional element included.

`text` is a parameter of each: a strategy that makes one text. The default makes whatever an envelope carries; a strict
writer's tests pass `line_texts()`.
"""

from __future__ import annotations

import string
from datetime import UTC, date, datetime
from typing import TypeAlias

from hypothesis import strategies as st

from schemas.codes import AgencyCode
from schemas.envelope import (
    CONTENT_ID_PREFIX,
    AttachmentSize,
    Envelope,
    Extension,
    Override,
    SecrecyLevel,
    Selector,
    SelectorKind,
)
from schemas.message import (
    Business,
    BusinessDocumentInfo,
    BusinessType,
    Document,
    DocumentCode,
    DocumentType,
    Organ,
    OtherInfo,
    Priority,
    PromulgationInfo,
    Receiver,
    ReceiverType,
    Reference,
    ReplacementInfo,
    ResponseFor,
    SignerInfo,
    StaffInfo,
    StatusCode,
    StatusMessage,
    TraceHeader,
)
from schemas.times import DateText, TimestampText

Texts: TypeAlias = st.SearchStrategy[str]

#: None longer than the 30 characters that peers take in a CodeNotation.
VIETNAMESE = (
    "Văn phòng Chính phủ",
    "UBND tỉnh Hải Dương",
    "V/v gửi, nhận văn bản điện tử",
    "KT. BỘ TRƯỞNG, CHỦ NHIỆM",
    "Phó Chủ tịch Thường trực",
    "Quyết định (cá biệt)",
    "Hỏa tốc hẹn giờ: 17 giờ 30",
    "Ánh & Ưu <ưu@example.gov.vn>",
    # The same letters decomposed: bytes that travel are not normalised.
    "Hu\u031bng Ye\u0302n",
)
_VIETNAMESE_LETTERS = "aàảãáạăằẳẵắặâầẩẫấậđeèẻẽéẹêềểễếệiìỉĩíịoòỏõóọôồổỗốộơờởỡớợuùủũúụưừửữứựyỳỷỹýỵĐẦỆỢƯ"
_MARKUP = "&<>\"'/=;#![]{}-"
_INT32 = st.integers(-(2**31), 2**31 - 1)


def line_texts(max_size: int = 12) -> Texts:
    """One line without white space around it; never empty. What a strict receiver reads back unchanged.

    `max_size` bounds the texts that are made up; the sayings among them have up to 30 characters.
    """
    letters = st.sampled_from(string.ascii_letters + string.digits + _VIETNAMESE_LETTERS + _MARKUP + " .,")
    made = st.text(letters, min_size=1, max_size=max_size).map(str.strip).filter(bool)
    return st.sampled_from(VIETNAMESE) | made


def carried_texts(max_size: int = 12) -> Texts:
    """Any text that XML carries unchanged: all of Unicode but its controls, surrogates and non-characters."""
    characters = st.characters(
        exclude_categories=("Cc", "Cs"), include_characters="\t\n\x7f\x85", exclude_characters="\ufffe\uffff"
    )
    return line_texts(max_size) | st.text(characters, max_size=max_size)


ANY_TEXT = carried_texts()


def optional(values: st.SearchStrategy[str]) -> st.SearchStrategy[str | None]:
    return st.none() | values


def sha256_hex() -> st.SearchStrategy[str]:
    return st.binary(min_size=32, max_size=32).map(bytes.hex)


# Numbers into texts, not patterns: a code is drawn some sixty times in a document.
_ROOTS = st.sampled_from([f"{letter}{number:02}" for letter in "AGHKW" for number in range(64)] + ["JB2", "H2A"])
_PARTS = st.integers(0, 99_999).map(str) | st.sampled_from(["0", "00", "DN", "001", "A1", "0X0"])
_OLD_PARTS = st.integers(0, 99).map("{:02}".format) | st.integers(0, 999).map("{:03}".format)


def new_codes() -> st.SearchStrategy[AgencyCode]:
    """Codes of today's form, levels 1 to 4."""
    return st.tuples(_ROOTS, st.lists(_PARTS, max_size=3)).map(lambda made: AgencyCode(".".join((made[0], *made[1]))))


def old_codes() -> st.SearchStrategy[AgencyCode]:
    """Codes of the older form, two to four parts."""
    parts = st.lists(_OLD_PARTS, min_size=1, max_size=3)
    return st.tuples(parts, _ROOTS).map(lambda made: AgencyCode(".".join((*made[0], made[1]))))


def agency_codes() -> st.SearchStrategy[AgencyCode]:
    systems = st.integers(0, 99).map(lambda number: AgencyCode(f"vxp.saas.{number:02}"))
    return new_codes() | old_codes() | systems


def date_texts() -> st.SearchStrategy[DateText]:
    """Real days written `yyyy/MM/dd`."""
    return st.dates(date(1990, 1, 1), date(2100, 1, 1)).map(DateText.of)


def timestamp_texts() -> st.SearchStrategy[TimestampText]:
    """Real times written `yyyy/MM/dd HH:mm:ss`."""
    return st.integers(0, 2**32).map(lambda seconds: TimestampText.of(datetime.fromtimestamp(seconds, UTC)))


def organs(text: Texts = ANY_TEXT) -> st.SearchStrategy[Organ]:
    return st.builds(
        Organ,
        organ_id=agency_codes(),
        organization_in_charge=optional(text),
        organ_name=optional(text),
        organ_add=optional(text),
        email=optional(text),
        telephone=optional(text),
        fax=optional(text),
        website=optional(text),
    )


def recipients(text: Texts = ANY_TEXT, min_size: int = 1, max_size: int = 3) -> st.SearchStrategy[tuple[Organ, ...]]:
    """Agencies, each named once."""
    return st.lists(organs(text), min_size=min_size, max_size=max_size, unique_by=lambda organ: organ.organ_id).map(
        tuple
    )


def staff_infos(text: Texts = ANY_TEXT) -> st.SearchStrategy[StaffInfo]:
    return st.builds(
        StaffInfo, department=optional(text), staff=optional(text), email=optional(text), mobile=optional(text)
    )


def responses(text: Texts = ANY_TEXT) -> st.SearchStrategy[ResponseFor]:
    return st.builds(
        ResponseFor,
        organ_id=st.none() | agency_codes(),
        code=optional(text),
        promulgation_date=st.none() | date_texts(),
        document_id=optional(text),
    )


def other_infos(text: Texts = ANY_TEXT) -> st.SearchStrategy[OtherInfo]:
    return st.builds(
        OtherInfo,
        priority=st.sampled_from(Priority),
        sphere_of_promulgation=optional(text),
        typer_notation=optional(text),
        promulgation_amount=st.none() | _INT32,
        page_amount=st.none() | _INT32,
        direction=optional(text),
        appendixes=_optional_list(text),
    )


def businesses(text: Texts = ANY_TEXT) -> st.SearchStrategy[Business]:
    receivers = st.builds(Receiver, organ_id=agency_codes(), receiver_type=st.sampled_from(ReceiverType))
    document_info = st.builds(
        BusinessDocumentInfo,
        document_info=st.booleans(),
        document_receiver=st.booleans(),
        receivers=st.lists(receivers, max_size=2).map(tuple),
    )
    replacement = st.builds(
        ReplacementInfo, document_id=text, organ_ids=st.lists(agency_codes(), max_size=2).map(tuple)
    )
    return st.builds(
        Business,
        document_id=optional(text),
        type=st.sampled_from(BusinessType),
        reason=text,
        paper=st.booleans(),
        staff=st.none() | staff_infos(text),
        document_info=st.none() | document_info,
        replacements=st.none() | st.lists(replacement, max_size=2).map(tuple),
    )


def references(text: Texts = ANY_TEXT) -> st.SearchStrategy[Reference]:
    return st.builds(
        Reference,
        content_id=sha256_hex().map(CONTENT_ID_PREFIX.__add__),
        content_type=st.sampled_from(["application/pdf", "text/csv", "application/zip"]) | text,
        attachment_name=text,
        description=text,
    )


def documents(text: Texts = ANY_TEXT, *, min_recipients: int = 1) -> st.SearchStrategy[Document]:
    traces = st.builds(TraceHeader, organ_id=st.none() | agency_codes(), timestamp=timestamp_texts())
    return st.builds(
        Document,
        sender=organs(text),
        recipients=recipients(text, min_size=min_recipients),
        document_id=text,
        code=st.builds(DocumentCode, number=text.map(lambda made: made[:11].strip()), notation=text),
        promulgation=st.builds(PromulgationInfo, place=text, date=date_texts()),
        document_type=st.builds(DocumentType, type=_INT32, type_detail=st.none() | _INT32, type_name=text),
        subject=text,
        content=text,
        signer=st.builds(SignerInfo, competence=optional(text), position=optional(text), full_name=text),
        due_date=st.none() | date_texts(),
        to_places=_optional_list(text),
        other_info=other_infos(text),
        response_for=st.lists(responses(text), max_size=2).map(tuple),
        steering_type=st.integers(0, 3),
        response_for_task=_optional_list(text),
        application_type=optional(text),
        trace=st.lists(traces, min_size=1, max_size=2).map(tuple),
        business=st.none() | businesses(text),
        references=st.lists(references(text), max_size=3).map(tuple),
    )


def statuses(text: Texts = ANY_TEXT) -> st.SearchStrategy[StatusMessage]:
    return st.builds(
        StatusMessage,
        sender=organs(text),
        response_for=responses(text),
        staff=st.none() | staff_infos(text),
        status_code=st.sampled_from(StatusCode),
        description=optional(text),
        timestamp=timestamp_texts(),
    )


@st.composite
def envelopes(draw: st.DrawFn, text: Texts = ANY_TEXT) -> Envelope:
    """Envelopes that may travel: of either message, with an extension that fits it."""
    label = text.filter(lambda made: made != "")
    about = tuple(draw(st.lists(sha256_hex(), max_size=2)))
    if draw(st.booleans()):
        return Envelope(draw(statuses(text)), Extension(submission_id=draw(label), about=about))
    document = draw(documents(text, min_recipients=0))
    selector = st.builds(Selector, st.just(SelectorKind.GROUP), label) | st.builds(
        Selector, st.just(SelectorKind.PREFIX), new_codes().map(str)
    )
    extension = Extension(
        submission_id=draw(label),
        about=about,
        selectors=tuple(draw(st.lists(selector, min_size=0 if document.recipients else 1, max_size=2))),
        secrecy=draw(st.none() | st.sampled_from(SecrecyLevel)),
        override=draw(st.none() | st.builds(Override, label, label)),
        expires_at=draw(st.none() | st.datetimes(timezones=st.just(UTC))),
        attachment_sizes=tuple(
            AttachmentSize(content_id.removeprefix(CONTENT_ID_PREFIX), draw(st.integers(0, 2**63 - 1)))
            for content_id in dict.fromkeys(reference.content_id for reference in document.references)
        ),
    )
    return Envelope(document, extension)


def _optional_list(text: Texts) -> st.SearchStrategy[tuple[str, ...] | None]:
    return st.none() | st.lists(text, max_size=2).map(tuple)
