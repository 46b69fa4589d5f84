"""The tree of an envelope that travels to its values. `schemas.travel.parse_envelope` has checked the form by then."""

from __future__ import annotations

from schemas.codes import AgencyCode
from schemas.envelope import AttachmentSize, Envelope, Extension, Override, SecrecyLevel, Selector, SelectorKind
from schemas.errors import Rejected
from schemas.fields import Fields, attribute_of, read_from, text_of
from schemas.instants import parse_instant
from schemas.message import (
    Business,
    BusinessDocumentInfo,
    BusinessType,
    Document,
    DocumentCode,
    DocumentType,
    Message,
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
from schemas.namespaces import EXTENSION, QCVN
from schemas.times import DateText, TimestampText
from schemas.travel_rules import check_envelope
from schemas.xml import Element, element_at, fault_at, line_of


def read_envelope(root: Element) -> Envelope:
    """The envelope in a tree that `parse_envelope` gave, or in the part of it that a seal covers.

    Raises:
        MalformedCode: an agency code is none.
        MalformedMessage: an element is missing or repeated, a text holds a carriage return, or a rule of
            `schemas.travel_rules` does not hold.
    """
    wrapper = Fields(root, QCVN).required("edXMLEnvelope")
    header = wrapper.required("edXMLHeader")
    envelope = Envelope(_message(wrapper, header), _extension(header.required("Extension", EXTENSION)))
    try:
        check_envelope(envelope)
    except Rejected as error:
        if error.element is not None and (element := element_at(root, error.element)) is not None:
            error.line = line_of(element)
        raise
    return envelope


def _message(wrapper: Fields, header: Fields) -> Message:
    message_header = header.required("MessageHeader")
    traces, body = header.child("TraceHeaderList"), wrapper.child("edXMLBody")
    if message_header.child("StatusCode") is None:
        return _document(message_header, traces, body)
    for part in (traces, body):
        if part is not None:
            raise fault_at(
                part.element,
                "status-with-document-parts",
                "A status message has neither a TraceHeaderList nor a body.",
                mend="Leave the element out.",
            )
    return _status(message_header)


def _document(header: Fields, traces: Fields | None, body: Fields | None) -> Document:
    code = header.required("Code")
    promulgation = header.required("PromulgationInfo")
    document_type = header.required("DocumentType")
    signer = header.required("SignerInfo")
    business = traces.child("Bussiness") if traces else None
    return Document(
        sender=_organ(header.required("From")),
        recipients=tuple(map(_organ, header.each("To"))),
        document_id=header.text("DocumentId"),
        code=DocumentCode(number=code.text("CodeNumber"), notation=code.text("CodeNotation")),
        promulgation=PromulgationInfo(
            place=promulgation.text("Place"), date=promulgation.value("PromulgationDate", DateText)
        ),
        document_type=DocumentType(
            type=document_type.value("Type", int),
            type_detail=document_type.optional("TypeDetail", int),
            type_name=document_type.text("TypeName"),
        ),
        subject=header.text("Subject"),
        content=header.text("Content"),
        signer=SignerInfo(
            competence=signer.optional_text("Competence"),
            position=signer.optional_text("Position"),
            full_name=signer.text("FullName"),
        ),
        due_date=header.optional("DueDate", DateText),
        to_places=_list(header, "ToPlaces", "Place"),
        other_info=_other_info(header.required("OtherInfo")),
        response_for=tuple(map(_response_for, header.each("ResponseFor"))),
        steering_type=header.value("SteeringType", int),
        response_for_task=_list(header, "ResponseForTask", "TaskCode"),
        application_type=header.optional_text("ApplicationType"),
        trace=tuple(map(_trace, traces.each("TraceHeader"))) if traces else (),
        business=_business(business) if business else None,
        references=tuple(map(_reference, body.required("edXMLManifest").each("Reference"))) if body else (),
    )


def _status(header: Fields) -> StatusMessage:
    staff = header.child("StaffInfo")
    return StatusMessage(
        sender=_organ(header.required("From")),
        response_for=_response_for(header.required("ResponseFor")),
        staff=_staff(staff) if staff else None,
        status_code=header.value("StatusCode", StatusCode),
        description=header.optional_text("Description"),
        timestamp=header.value("Timestamp", TimestampText),
    )


def _organ(fields: Fields) -> Organ:
    return Organ(
        organ_id=fields.value("OrganId", AgencyCode),
        organization_in_charge=fields.optional_text("OrganizationInCharge"),
        organ_name=fields.optional_text("OrganName"),
        organ_add=fields.optional_text("OrganAdd"),
        email=fields.optional_text("Email"),
        telephone=fields.optional_text("Telephone"),
        fax=fields.optional_text("Fax"),
        website=fields.optional_text("Website"),
    )


def _other_info(fields: Fields) -> OtherInfo:
    return OtherInfo(
        priority=fields.value("Priority", lambda text: Priority(int(text))),
        sphere_of_promulgation=fields.optional_text("SphereOfPromulgation"),
        typer_notation=fields.optional_text("TyperNotation"),
        promulgation_amount=fields.optional("PromulgationAmount", int),
        page_amount=fields.optional("PageAmount", int),
        direction=fields.optional_text("Direction"),
        appendixes=_list(fields, "Appendixes", "Appendix"),
    )


def _response_for(fields: Fields) -> ResponseFor:
    return ResponseFor(
        organ_id=fields.optional("OrganId", AgencyCode),
        code=fields.optional_text("Code"),
        promulgation_date=fields.optional("PromulgationDate", DateText),
        document_id=fields.optional_text("DocumentId"),
    )


def _trace(fields: Fields) -> TraceHeader:
    return TraceHeader(
        organ_id=fields.optional("OrganId", AgencyCode), timestamp=fields.value("Timestamp", TimestampText)
    )


def _business(fields: Fields) -> Business:
    staff = fields.child("StaffInfo")
    document_info = fields.child("BussinessDocumentInfo")
    replacements = fields.child("ReplacementInfoList")
    return Business(
        document_id=fields.optional_text("DocumentId"),
        type=fields.value("BussinessDocType", lambda text: BusinessType(int(text))),
        reason=fields.text("BussinessDocReason"),
        paper=fields.value("Paper", _flag),
        staff=_staff(staff) if staff else None,
        document_info=_document_info(document_info) if document_info else None,
        replacements=tuple(map(_replacement, replacements.each("ReplacementInfo"))) if replacements else None,
    )


def _staff(fields: Fields) -> StaffInfo:
    return StaffInfo(
        department=fields.optional_text("Department"),
        staff=fields.optional_text("Staff"),
        email=fields.optional_text("Email"),
        mobile=fields.optional_text("Mobile"),
    )


def _document_info(fields: Fields) -> BusinessDocumentInfo:
    receivers = fields.child("ReceiverList")
    return BusinessDocumentInfo(
        document_info=fields.value("DocumentInfo", _flag),
        document_receiver=fields.value("DocumentReceiver", _flag),
        receivers=tuple(map(_receiver, receivers.each("Receiver"))) if receivers else (),
    )


def _receiver(fields: Fields) -> Receiver:
    return Receiver(
        organ_id=fields.value("OrganId", AgencyCode),
        receiver_type=fields.value("ReceiverType", lambda text: ReceiverType(int(text))),
    )


def _replacement(fields: Fields) -> ReplacementInfo:
    organs = fields.child("OrganIdList")
    return ReplacementInfo(
        document_id=fields.text("DocumentId"), organ_ids=organs.values("OrganId", AgencyCode) if organs else ()
    )


def _reference(fields: Fields) -> Reference:
    return Reference(
        content_id=fields.text("ContentId").removeprefix("cid:"),
        content_type=fields.text("ContentType"),
        attachment_name=fields.text("AttachmentName"),
        description=fields.text("Description"),
    )


def _extension(fields: Fields) -> Extension:
    return Extension(
        submission_id=fields.text("SubmissionId"),
        about=fields.values("About", str),
        selectors=tuple(
            Selector(attribute_of(selector.element, "kind", SelectorKind), text_of(selector.element))
            for selector in fields.each("Selector")
        ),
        secrecy=fields.optional("Secrecy", SecrecyLevel),
        override=_override(fields.child("Override")),
        expires_at=fields.optional("ExpiresAt", parse_instant),
        attachment_sizes=tuple(
            AttachmentSize(attribute_of(size.element, "digest", str), read_from(size.element, int))
            for size in fields.each("AttachmentSize")
        ),
    )


def _override(fields: Fields | None) -> Override | None:
    return None if fields is None else Override(by=fields.text("By"), reason=fields.text("Reason"))


def _list(fields: Fields, name: str, item: str) -> tuple[str, ...] | None:
    found = fields.child(name)
    return found.values(item, str) if found else None


def _flag(text: str) -> bool:
    return bool(("0", "1").index(text))
