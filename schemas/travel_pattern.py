"""The form in which envelopes are written, as regular expressions: of a document, of a status, and of their parts.

They are made of the same names in the same order as message.xsd and extension.xsd, and admit less: no white space
between elements, no other prefix, texts as C14N writes them, numbers as we write them. Nothing in a text can be taken
for markup: wherever a match goes back to, nothing else can follow, so that it takes time by the length alone. What
documents do not say every day is left out: what an update changes, and what a replacement replaces.

Groups whose names begin with a capital are texts; the others are markup, or words that are never escaped. In the
pattern of a message a list is one group, whose members the pattern of the member finds.
"""

from __future__ import annotations

import re
from typing import Final

from schemas.envelope import SecrecyLevel
from schemas.message import StatusCode
from schemas.message_markup import OPENING
from schemas.namespaces import EXTENSION

#: A text: no markup, no control characters (line feed and tab excepted), no carriage return. Taken for good: nothing
#: is to be gone back to in it. (A group would not be taken so: before 3.11.5, Python takes a part of it for the whole.)
_TEXT: Final = "[\t\n\x20-\x3b=\x3f-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*+"
#: What C14N writes in no text; asked of a whole message.
UNWRITTEN: Final = re.compile("&(?!(?:amp|lt|gt);)")
#: As a number is written, and below 2^31 in any case; a size below 2^63.
_NUMBER: Final = "0|-?[1-9][0-9]{0,8}"
_SIZE: Final = "0|[1-9][0-9]{0,17}"
_SHA256: Final = "[0-9a-f]{64}"
_INSTANT: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"


def _leaf(name: str, content: str = _TEXT, *, group: str | None = None) -> str:
    return f"<edXML:{name}>(?P<{group or name}>{content})</edXML:{name}>"


def _maybe(pattern: str) -> str:
    return f"(?:{pattern})?"


def _part(name: str, content: str) -> str:
    return f"<edXML:{name}>{content}</edXML:{name}>"


def _unnamed(pattern: str) -> str:
    """`pattern` without names: it stands in another one, which finds the whole, and is asked for its values later."""
    return re.sub(r"\?P<\w+>", "?:", pattern)


def _listed(name: str, pattern: str, *, least: str = "*") -> str:
    return f"(?P<{name}>(?:{_unnamed(pattern)}){least})"


_ORGAN: Final = _leaf("OrganId") + "".join(
    _maybe(_leaf(name))
    for name in ("OrganizationInCharge", "OrganName", "OrganAdd", "Email", "Telephone", "Fax", "Website")
)
_RESPONSE: Final = "".join(
    _maybe(_leaf(name, group=f"Response{name}")) for name in ("OrganId", "Code", "PromulgationDate", "DocumentId")
)
_TRACE: Final = _part("TraceHeader", _maybe(_leaf("OrganId")) + _leaf("Timestamp"))
_REFERENCE: Final = _part(
    "Reference",
    _leaf("ContentId", f"cid:sha256-{_SHA256}") + _leaf("ContentType") + _leaf("AttachmentName") + _leaf("Description"),
)
_BUSINESS: Final = _part(
    "Bussiness",
    _maybe(_leaf("DocumentId", group="BusinessDocumentId"))
    + _leaf("BussinessDocType", "[0-3]")
    + _leaf("BussinessDocReason")
    + _leaf("Paper", "[01]")
    + "(?P<staff>"
    + _part("StaffInfo", "".join(_maybe(_leaf(name)) for name in ("Department", "Staff", "Email", "Mobile")))
    + ")?",
)
_ABOUT: Final = f"<cv:About>(?P<Text>{_SHA256})</cv:About>"
_SELECTOR: Final = f'<cv:Selector kind="(?P<kind>prefix|group)">(?P<Value>{_TEXT})</cv:Selector>'
_ATTACHMENT_SIZE: Final = f'<cv:AttachmentSize digest="(?P<digest>{_SHA256})">(?P<size>{_SIZE})</cv:AttachmentSize>'
_EXTENSION: Final = (
    f'<cv:Extension xmlns:cv="{re.escape(EXTENSION)}"><cv:SubmissionId>(?P<SubmissionId>{_TEXT})</cv:SubmissionId>'
    f"{_listed('about', _ABOUT)}{_listed('selectors', _SELECTOR)}"
    f"(?:<cv:Secrecy>(?P<Secrecy>{'|'.join(SecrecyLevel)})</cv:Secrecy>)?"
    f"(?:<cv:Override><cv:By>(?P<By>{_TEXT})</cv:By><cv:Reason>(?P<Reason>{_TEXT})</cv:Reason></cv:Override>)?"
    f"(?:<cv:ExpiresAt>(?P<ExpiresAt>{_INSTANT})</cv:ExpiresAt>)?"
    f"{_listed('sizes', _ATTACHMENT_SIZE)}</cv:Extension>"
)
_FROM: Final = _part("From", f"(?P<sender>{_unnamed(_ORGAN)})")
_TO: Final = _part("To", _unnamed(_ORGAN))

#: As in message.xsd, in its order.
DOCUMENT: Final = re.compile(
    re.escape(OPENING)
    + _part(
        "MessageHeader",
        _FROM
        + f"(?P<recipients>(?:{_TO})*)"
        + _leaf("DocumentId")
        + _part("Code", _leaf("CodeNumber") + _leaf("CodeNotation"))
        + _part("PromulgationInfo", _leaf("Place") + _leaf("PromulgationDate"))
        + _part("DocumentType", _leaf("Type", _NUMBER) + _maybe(_leaf("TypeDetail", _NUMBER)) + _leaf("TypeName"))
        + _leaf("Subject")
        + _leaf("Content")
        + _part("SignerInfo", _maybe(_leaf("Competence")) + _maybe(_leaf("Position")) + _leaf("FullName"))
        + _maybe(_leaf("DueDate"))
        + _maybe(_part("ToPlaces", _listed("places", _leaf("Place"))))
        + _part(
            "OtherInfo",
            _leaf("Priority", "[0-4]")
            + _maybe(_leaf("SphereOfPromulgation"))
            + _maybe(_leaf("TyperNotation"))
            + _maybe(_leaf("PromulgationAmount", _NUMBER))
            + _maybe(_leaf("PageAmount", _NUMBER))
            + _maybe(_leaf("Direction"))
            + _maybe(_part("Appendixes", _listed("appendixes", _leaf("Appendix")))),
        )
        + _listed("responses", _part("ResponseFor", _RESPONSE))
        + _leaf("SteeringType", "[0-3]")
        + _maybe(_part("ResponseForTask", _listed("tasks", _leaf("TaskCode"))))
        + _maybe(_leaf("ApplicationType")),
    )
    + _part("TraceHeaderList", _listed("traces", _TRACE, least="+") + f"(?P<business>{_unnamed(_BUSINESS)})?")
    + _EXTENSION
    + "</edXML:edXMLHeader>"
    + '<edXML:edXMLBody><edXML:edXMLManifest version="1.0">'
    + _listed("references", _REFERENCE)
    + "</edXML:edXMLManifest></edXML:edXMLBody></edXML:edXMLEnvelope></edXML>"
)

_STATUS_STAFF: Final = _part(
    "StaffInfo", "".join(_maybe(_leaf(name)) for name in ("Department", "Staff", "Mobile", "Email"))
)
STATUS: Final = re.compile(
    re.escape(OPENING)
    + _part(
        "MessageHeader",
        _FROM
        + _part("ResponseFor", _RESPONSE)
        + f"(?P<staff>{_unnamed(_STATUS_STAFF)})?"
        + _leaf("StatusCode", "|".join(StatusCode))
        + _maybe(_leaf("Description"))
        + _leaf("Timestamp"),
    )
    + _EXTENSION
    + "</edXML:edXMLHeader></edXML:edXMLEnvelope></edXML>"
)

ORGAN: Final = re.compile(_ORGAN)
RESPONSE: Final = re.compile(_part("ResponseFor", _RESPONSE))
TRACE: Final = re.compile(_TRACE)
REFERENCE: Final = re.compile(_REFERENCE)
BUSINESS: Final = re.compile(_BUSINESS)
STATUS_STAFF: Final = re.compile(_STATUS_STAFF)
LEAF: Final = re.compile(f"<edXML:[A-Za-z]+>(?P<Text>{_TEXT})</edXML:[A-Za-z]+>")
ABOUT: Final = re.compile(_ABOUT)
SELECTOR: Final = re.compile(_SELECTOR)
SIZE: Final = re.compile(_ATTACHMENT_SIZE)
