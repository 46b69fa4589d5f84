"""MessageHeader and manifest of a classic file to values: any order; gaps get neutral values and findings."""

from __future__ import annotations

import re

from schemas.classic_business import staff_of, trace_and_business
from schemas.classic_elements import ClassicElement, Findings
from schemas.classic_fields import ClassicFields
from schemas.codes import AgencyCode
from schemas.errors import MalformedMessage
from schemas.message import (
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
    StatusCode,
    StatusMessage,
)
from schemas.times import DateText

_ORGAN = ("OrganId", "OrganizationInCharge", "OrganName", "OrganAdd", "Email", "Telephone", "Fax", "Website")
_DOCUMENT_HEADER = (
    "From",
    "To",
    "DocumentId",
    "Code",
    "PromulgationInfo",
    "DocumentType",
    "Subject",
    "Content",
    "SignerInfo",
    "DueDate",
    "ToPlaces",
    "OtherInfo",
    "ResponseFor",
    "SteeringType",
    "ResponseForTask",
    "ApplicationType",
)
_STATUS_HEADER = ("From", "ResponseFor", "StaffInfo", "StatusCode", "Description", "Timestamp")
_OTHER_INFO = (
    "Priority",
    "SphereOfPromulgation",
    "TyperNotation",
    "PromulgationAmount",
    "PageAmount",
    "Direction",
    "Appendixes",
)
_CID = re.compile(r"\A(?:cid:)+", re.IGNORECASE)


def content_id_of(text: str) -> str:
    """A content id without its `cid:`; VNPT's writer puts two before it, attachments often have none."""
    return _CID.sub("", text)


def message_of(root: ClassicElement, findings: Findings) -> Message:
    """The message in a whole file: a status if its MessageHeader has a StatusCode, else a document.

    Raises:
        MalformedCode: an agency that must be known has no code.
        MalformedMessage: an element that a message cannot be without is missing, one stands twice, a value decides
            what is to be done and cannot be read, or the document has no recipient, or one twice.
    """
    names = ("edXMLEnvelope", "AttachmentEncoded")
    envelope = ClassicFields(root, names, findings).required("edXMLEnvelope")
    parts = ClassicFields(envelope, ("edXMLHeader", "edXMLBody", "AttachmentEncoded"), findings)
    if (misplaced := parts.child("AttachmentEncoded")) is not None:
        findings.add(
            "attachments-misplaced",
            "AttachmentEncoded stands inside edXMLEnvelope; strict receivers find no attachment there.",
            misplaced,
            strict_refuses=True,
        )
    header = ClassicFields(
        parts.required("edXMLHeader"), ("MessageHeader", "TraceHeaderList", "Signature"), findings, lists=("Signature",)
    )
    message_header = header.required("MessageHeader")
    if message_header.first("StatusCode") is not None:
        for part in (header.child("TraceHeaderList"), parts.child("edXMLBody")):
            if part is not None:
                findings.add(
                    "status-with-document-parts", f"A status message has no {part.name}; it is left out.", part
                )
        return _status(message_header, findings)
    trace, business = trace_and_business(header, findings)
    fields = ClassicFields(message_header, _DOCUMENT_HEADER, findings, lists=("To", "ResponseFor"))
    signer = _sub_fields(fields, "SignerInfo", ("Competence", "Position", "FullName"), findings)
    return Document(
        sender=_organ(fields.required("From"), findings),
        recipients=_recipients(fields, findings),
        document_id=_document_id(fields),
        code=_code(fields, findings),
        promulgation=_promulgation(fields, findings),
        document_type=_document_type(fields, findings),
        subject=fields.expected_text("Subject"),
        content=fields.expected_text("Content"),
        signer=SignerInfo(
            competence=signer.text("Competence"),
            position=signer.text("Position"),
            full_name=signer.expected_text("FullName"),
        ),
        due_date=fields.date("DueDate"),
        to_places=_list(fields, "ToPlaces", "Place", findings),
        other_info=_other_info(fields, findings),
        response_for=tuple(_response_for(one, findings) for one in fields.each("ResponseFor")),
        steering_type=_steering_type(fields),
        response_for_task=_list(fields, "ResponseForTask", "TaskCode", findings),
        application_type=fields.text("ApplicationType"),
        trace=trace,
        business=business,
        references=_references(parts.child("edXMLBody"), findings),
    )


def _status(header: ClassicElement, findings: Findings) -> StatusMessage:
    fields = ClassicFields(header, _STATUS_HEADER, findings)
    response_for, staff = fields.expected("ResponseFor"), fields.child("StaffInfo")
    return StatusMessage(
        sender=_organ(fields.required("From"), findings),
        response_for=_response_for(response_for, findings) if response_for is not None else ResponseFor(),
        staff=staff_of(staff, findings) if staff is not None else None,
        status_code=_status_code(fields),
        description=fields.text("Description"),
        timestamp=fields.timestamp("Timestamp"),
    )


def _status_code(fields: ClassicFields) -> StatusCode:
    word = fields.word("StatusCode") or ""
    known = {code.value: code for code in StatusCode}
    if word.zfill(2) not in known:
        raise fields.required("StatusCode").located(
            MalformedMessage(
                "status-code-unknown",
                f"StatusCode is {word[:60]!r}, which says nothing that is known.",
                mend=f"Write one of {', '.join(known)}.",
            )
        )
    if word not in known:
        fields.note("StatusCode", "status-code-form", f"StatusCode is {word!r} instead of {word.zfill(2)!r}.")
    return known[word.zfill(2)]


def _organ(element: ClassicElement, findings: Findings) -> Organ:
    fields = ClassicFields(element, _ORGAN, findings)
    return Organ(
        organ_id=fields.agency("OrganId"),
        organization_in_charge=fields.text("OrganizationInCharge"),
        organ_name=fields.text("OrganName"),
        organ_add=fields.text("OrganAdd"),
        email=fields.text("Email"),
        telephone=fields.text("Telephone"),
        fax=fields.text("Fax"),
        website=fields.text("Website"),
    )


def _recipients(fields: ClassicFields, findings: Findings) -> tuple[Organ, ...]:
    recipients = []
    seen: set[AgencyCode] = set()
    for element in fields.each("To"):
        organ = _organ(element, findings)
        if organ.organ_id in seen:
            raise element.located(
                MalformedMessage(
                    "recipient-repeated",
                    f"{organ.organ_id.value} is named as a recipient twice.",
                    mend="Name each agency once.",
                )
            )
        seen.add(organ.organ_id)
        recipients.append(organ)
    if not recipients:
        raise fields.element.located(
            MalformedMessage(
                "no-recipient", "The document names no recipient.", mend="Name at least one agency in a To."
            )
        )
    return tuple(recipients)


def _document_id(fields: ClassicFields) -> str:
    text = fields.text("DocumentId")
    if not text:
        # Some readers invent one, and no status can then ever be matched.
        raise fields.missing("DocumentId")
    return text


def _code(fields: ClassicFields, findings: Findings) -> DocumentCode:
    code = _sub_fields(fields, "Code", ("CodeNumber", "CodeNotation"), findings)
    return DocumentCode(number=code.expected_text("CodeNumber"), notation=code.expected_text("CodeNotation"))


def _promulgation(fields: ClassicFields, findings: Findings) -> PromulgationInfo:
    info = _sub_fields(fields, "PromulgationInfo", ("Place", "PromulgationDate"), findings)
    place, date = info.expected_text("Place"), info.date("PromulgationDate")
    if date is None:
        info.expected("PromulgationDate")
    return PromulgationInfo(place=place, date=date or DateText(""))


def _document_type(fields: ClassicFields, findings: Findings) -> DocumentType:
    kind = _sub_fields(fields, "DocumentType", ("Type", "TypeDetail", "TypeName"), findings)
    kind.expected("Type")
    return DocumentType(
        type=kind.number("Type") or 0,
        type_detail=kind.number("TypeDetail"),
        type_name=kind.expected_text("TypeName"),
    )


def _other_info(fields: ClassicFields, findings: Findings) -> OtherInfo:
    info = _sub_fields(fields, "OtherInfo", _OTHER_INFO, findings)
    return OtherInfo(
        priority=_priority(info),
        sphere_of_promulgation=info.text("SphereOfPromulgation"),
        typer_notation=info.text("TyperNotation"),
        promulgation_amount=info.number("PromulgationAmount"),
        page_amount=info.number("PageAmount"),
        direction=info.text("Direction"),
        appendixes=_list(info, "Appendixes", "Appendix", findings),
    )


def _priority(info: ClassicFields) -> Priority:
    known = {str(priority.value): priority for priority in Priority}
    return known[_one_of(info, "Priority", tuple(known), "the document is read as normal")]


def _steering_type(fields: ClassicFields) -> int:
    return int(_one_of(fields, "SteeringType", ("0", "1", "2", "3"), "it is read as 0"))


def _one_of(fields: ClassicFields, name: str, known: tuple[str, ...], otherwise: str) -> str:
    """The word under `name` if it is one of `known`; else the first of them, and a finding that says `otherwise`."""
    if fields.expected(name) is None:
        return known[0]
    word = fields.word(name) or ""
    if word in known:
        return word
    fields.note(name, "number-unknown", f"{name} is {word[:60]!r}, none of {known[0]} to {known[-1]}; {otherwise}.")
    return known[0]


def _response_for(element: ClassicElement, findings: Findings) -> ResponseFor:
    fields = ClassicFields(element, ("OrganId", "Code", "PromulgationDate", "DocumentId"), findings)
    response = ResponseFor(
        organ_id=fields.agency_if_known("OrganId"),
        code=fields.text("Code"),
        promulgation_date=fields.date("PromulgationDate"),
        document_id=fields.text("DocumentId"),
    )
    if not response.document_id:
        findings.add("response-for-empty", "ResponseFor names no DocumentId.", element, strict_refuses=True)
    return response


def _references(body: ClassicElement | None, findings: Findings) -> tuple[Reference, ...]:
    if body is None:
        return ()
    manifest = ClassicFields(body, ("edXMLManifest",), findings).child("edXMLManifest")
    if manifest is None:
        return ()
    listed = ClassicFields(manifest, ("Reference",), findings, lists=("Reference",))
    return tuple(_reference(reference, findings) for reference in listed.each("Reference"))


def _reference(element: ClassicElement, findings: Findings) -> Reference:
    fields = ClassicFields(element, ("ContentId", "ContentType", "AttachmentName", "Description"), findings)
    return Reference(
        content_id=content_id_of(fields.expected_text("ContentId").strip()),
        content_type=fields.text("ContentType") or "",
        attachment_name=fields.expected_text("AttachmentName"),
        description=fields.text("Description") or "",
    )


def _list(fields: ClassicFields, name: str, item: str, findings: Findings) -> tuple[str, ...] | None:
    child = fields.child(name)
    return None if child is None else ClassicFields(child, (item,), findings, lists=(item,)).texts(item)


def _sub_fields(fields: ClassicFields, name: str, names: tuple[str, ...], findings: Findings) -> ClassicFields:
    """The fields of a child that the form asks for; where it is missing, those of an empty element in its place."""
    child = fields.child(name) or ClassicElement(name, fields.element.line, fields.element)
    return ClassicFields(child, names, findings)
