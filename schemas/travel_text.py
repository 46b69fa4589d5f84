"""An envelope as text: the form in which we write it, by which we know our own again.

Envelopes are written as text that is C14N already (`schemas.travel_writer`), so one regular expression says whether
bytes are exactly that, and finds the values (`schemas.travel_pattern`). It admits less than travel.xsd does: what it
does not know, the parser, the XSD and the reader judge, and they alone refuse.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeAlias

from schemas.codes import AgencyCode
from schemas.envelope import AttachmentSize, Envelope, Extension, Override, SecrecyLevel, Selector, SelectorKind
from schemas.errors import Rejected
from schemas.instants import parse_instant
from schemas.limits import KIB, Limits
from schemas.message import (
    Business,
    BusinessType,
    Document,
    DocumentCode,
    DocumentType,
    Message,
    Organ,
    OtherInfo,
    Priority,
    PromulgationInfo,
    Reference,
    ResponseFor,
    SignerInfo,
    StaffInfo,
    StatusCode,
    StatusMessage,
    TraceHeader,
)
from schemas.times import DateText, TimestampText
from schemas.travel_pattern import (
    ABOUT,
    BUSINESS,
    DOCUMENT,
    LEAF,
    ORGAN,
    REFERENCE,
    RESPONSE,
    SELECTOR,
    SIZE,
    STATUS,
    STATUS_STAFF,
    TRACE,
    UNWRITTEN,
)
from schemas.travel_rules import check_envelope
from schemas.xml import NAMESPACE_DECLARATIONS

#: The groups of a match by name.
_Values: TypeAlias = dict[str, Any]

_PRIORITIES: Final = {str(priority.value): priority for priority in Priority}

#: Deeper than a sealed envelope is; where less is allowed, the parser counts.
_DEPTH: Final = 16
#: In bytes, some 2,000 recipients: a match of long lists takes twenty times their memory, a tree less.
_LONGEST: Final = 256 * KIB
#: What looks like one in a text is counted too, as the parser does; a seal has some besides.
_DECLARATIONS: Final = NAMESPACE_DECLARATIONS // 2

#: Organs and other parts that many messages share are remembered as they are written, if they are short.
_REMEMBERED: Final = 1024
_SHORT: Final = KIB


def envelope_in(content: bytes, limits: Limits, *, sealed_bytes: int) -> Envelope | None:
    """The envelope, if `content` is one to the byte as we write it, without its seal; None says nothing against it.

    With its seal it has `sealed_bytes`. What is given is within `limits`, and keeps `schemas.travel_rules`.
    """
    # Bytes bound what else is counted: four for an element at least, and a text is no longer than the whole.
    most = min(_LONGEST, limits.envelope_bytes, limits.text_bytes, 4 * limits.elements)
    if sealed_bytes > most or limits.depth < _DEPTH:
        return None
    try:
        text = content.decode()
        if UNWRITTEN.search(text) or text.count("xmlns") > _DECLARATIONS:
            return None
        if (found := DOCUMENT.fullmatch(text)) is not None:
            envelope = _envelope(found, _document)
        elif (found := STATUS.fullmatch(text)) is not None:
            envelope = _envelope(found, _status)
        else:
            return None
        check_envelope(envelope)
    except (ValueError, Rejected):
        # The reader tells where.
        return None
    return envelope if _is_within(envelope.message, limits) else None


def _is_within(message: Message, limits: Limits) -> bool:
    return isinstance(message, StatusMessage) or (
        len(message.recipients) <= limits.recipients and len(message.references) <= limits.attachments
    )


def _envelope(found: re.Match[str], read: Callable[[_Values], Message]) -> Envelope:
    values = _values(found)
    return Envelope(read(values), _extension(values))


def _values(found: re.Match[str]) -> _Values:
    """What the groups hold, texts as they are meant; None where an element is absent."""
    values = found.groupdict()
    if "&" in found.string:
        for name, text in values.items():
            if text is not None and name[0].isupper() and "&" in text:
                values[name] = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return values


def _document(values: _Values) -> Document:
    due_date, business = values["DueDate"], values["business"]
    return Document(
        sender=_organ(values["sender"]),
        recipients=_recipients(values["recipients"]),
        document_id=values["DocumentId"],
        code=DocumentCode(number=values["CodeNumber"], notation=values["CodeNotation"]),
        promulgation=PromulgationInfo(place=values["Place"], date=DateText(values["PromulgationDate"])),
        document_type=DocumentType(
            type=int(values["Type"]), type_detail=_number(values["TypeDetail"]), type_name=values["TypeName"]
        ),
        subject=values["Subject"],
        content=values["Content"],
        signer=SignerInfo(competence=values["Competence"], position=values["Position"], full_name=values["FullName"]),
        due_date=None if due_date is None else DateText(due_date),
        to_places=_texts(values["places"]),
        other_info=OtherInfo(
            priority=_PRIORITIES[values["Priority"]],
            sphere_of_promulgation=values["SphereOfPromulgation"],
            typer_notation=values["TyperNotation"],
            promulgation_amount=_number(values["PromulgationAmount"]),
            page_amount=_number(values["PageAmount"]),
            direction=values["Direction"],
            appendixes=_texts(values["appendixes"]),
        ),
        response_for=tuple([_response_for(each) for each in _each(RESPONSE, values["responses"])]),
        steering_type=int(values["SteeringType"]),
        response_for_task=_texts(values["tasks"]),
        application_type=values["ApplicationType"],
        trace=tuple([_trace(each) for each in _each(TRACE, values["traces"])]),
        business=None if business is None else _business(business),
        references=tuple([_reference(each) for each in _each(REFERENCE, values["references"])]),
    )


def _status(values: _Values) -> StatusMessage:
    staff = values["staff"]
    return StatusMessage(
        sender=_organ(values["sender"]),
        response_for=_response_for(values),
        staff=None if staff is None else _staff(_whole(STATUS_STAFF, staff)),
        status_code=StatusCode(values["StatusCode"]),
        description=values["Description"],
        timestamp=TimestampText(values["Timestamp"]),
    )


def _organ(markup: str) -> Organ:
    return _remembered_organ(markup) if len(markup) <= _SHORT else _remembered_organ.__wrapped__(markup)


@lru_cache(maxsize=_REMEMBERED)
def _remembered_organ(markup: str) -> Organ:
    values = _whole(ORGAN, markup)
    return Organ(
        organ_id=AgencyCode(values["OrganId"]),
        organization_in_charge=values["OrganizationInCharge"],
        organ_name=values["OrganName"],
        organ_add=values["OrganAdd"],
        email=values["Email"],
        telephone=values["Telephone"],
        fax=values["Fax"],
        website=values["Website"],
    )


def _recipients(markup: str) -> tuple[Organ, ...]:
    if not markup:
        return ()
    begin, end = "<edXML:To>", "</edXML:To>"
    return tuple([_organ(each) for each in markup[len(begin) : -len(end)].split(end + begin)])


def _response_for(values: _Values) -> ResponseFor:
    organ_id, date = values["ResponseOrganId"], values["ResponsePromulgationDate"]
    return ResponseFor(
        organ_id=None if organ_id is None else AgencyCode(organ_id),
        code=values["ResponseCode"],
        promulgation_date=None if date is None else DateText(date),
        document_id=values["ResponseDocumentId"],
    )


def _trace(values: _Values) -> TraceHeader:
    organ_id = values["OrganId"]
    return TraceHeader(
        organ_id=None if organ_id is None else AgencyCode(organ_id), timestamp=TimestampText(values["Timestamp"])
    )


def _business(markup: str) -> Business:
    values = _whole(BUSINESS, markup)
    return Business(
        document_id=values["BusinessDocumentId"],
        type=BusinessType(int(values["BussinessDocType"])),
        reason=values["BussinessDocReason"],
        paper=values["Paper"] == "1",
        staff=_staff(values) if values["staff"] is not None else None,
    )


def _staff(values: _Values) -> StaffInfo:
    return StaffInfo(
        department=values["Department"], staff=values["Staff"], email=values["Email"], mobile=values["Mobile"]
    )


def _reference(values: _Values) -> Reference:
    return Reference(
        content_id=values["ContentId"].removeprefix("cid:"),
        content_type=values["ContentType"],
        attachment_name=values["AttachmentName"],
        description=values["Description"],
    )


def _extension(values: _Values) -> Extension:
    secrecy, by, expires_at = values["Secrecy"], values["By"], values["ExpiresAt"]
    return Extension(
        submission_id=values["SubmissionId"],
        about=_texts(values["about"], form=ABOUT) or (),
        selectors=tuple(
            [Selector(SelectorKind(each["kind"]), each["Value"]) for each in _each(SELECTOR, values["selectors"])]
        ),
        secrecy=None if secrecy is None else SecrecyLevel(secrecy),
        override=None if by is None else Override(by=by, reason=values["Reason"]),
        expires_at=None if expires_at is None else parse_instant(expires_at),
        attachment_sizes=tuple(
            [AttachmentSize(each["digest"], int(each["size"])) for each in _each(SIZE, values["sizes"])]
        ),
    )


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _texts(markup: str | None, form: re.Pattern[str] = LEAF) -> tuple[str, ...] | None:
    """The texts of the elements that `markup` is; None where the element that holds them is absent."""
    return None if markup is None else tuple([each["Text"] for each in _each(form, markup)])


def _each(form: re.Pattern[str], markup: str) -> list[_Values]:
    """The values of each of the elements, one behind the other, that `markup` is."""
    return [_values(found) for found in form.finditer(markup)]


def _whole(form: re.Pattern[str], markup: str) -> _Values:
    """The values of the one part that `markup` is."""
    found = form.fullmatch(markup)
    assert found is not None  # noqa: S101 - it stands in a form that has it there
    return _values(found)
