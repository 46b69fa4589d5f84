"""The two edXML messages as markup, in the order and with the prefixes of the standard: what both forms share.

What travels and what is written for software on the axis differ only around it: the seal and our extension there, the
attachments here. Markup is written as text: a tree built in lxml first takes four times as long.
"""

from __future__ import annotations

from typing import Final

from schemas.markup import escaped
from schemas.message import (
    Business,
    BusinessDocumentInfo,
    Document,
    Message,
    Organ,
    OtherInfo,
    Reference,
    ReplacementInfo,
    ResponseFor,
    StaffInfo,
    StatusMessage,
    TraceHeader,
)
from schemas.namespaces import QCVN

#: From the root to the MessageHeader. The root's namespace is the default one, the envelope's has the prefix edXML.
OPENING: Final = f'<edXML xmlns="{QCVN}"><edXML:edXMLEnvelope xmlns:edXML="{QCVN}"><edXML:edXMLHeader>'


def message_header(message: Message) -> str:
    """MessageHeader, and TraceHeaderList if `message` is a document."""
    if isinstance(message, StatusMessage):
        return _element("MessageHeader", _status_header(message))
    traces = map(_trace, message.trace)
    business = _business(message.business) if message.business else ""
    return _element("MessageHeader", _document_header(message)) + _element("TraceHeaderList", *traces, business)


def message_body(message: Message) -> str:
    """edXMLBody with the manifest; nothing for a status."""
    if isinstance(message, StatusMessage):
        return ""
    references = "".join(map(_reference, message.references))
    return f'<edXML:edXMLBody><edXML:edXMLManifest version="1.0">{references}</edXML:edXMLManifest></edXML:edXMLBody>'


def _document_header(document: Document) -> str:
    return _joined(
        _organ("From", document.sender),
        *(_organ("To", recipient) for recipient in document.recipients),
        _leaf("DocumentId", document.document_id),
        _element("Code", _leaf("CodeNumber", document.code.number), _leaf("CodeNotation", document.code.notation)),
        _element(
            "PromulgationInfo",
            _leaf("Place", document.promulgation.place),
            _leaf("PromulgationDate", document.promulgation.date.text),
        ),
        _element(
            "DocumentType",
            _number("Type", document.document_type.type),
            _number("TypeDetail", document.document_type.type_detail),
            _leaf("TypeName", document.document_type.type_name),
        ),
        _leaf("Subject", document.subject),
        _leaf("Content", document.content),
        _element(
            "SignerInfo",
            _leaf("Competence", document.signer.competence),
            _leaf("Position", document.signer.position),
            _leaf("FullName", document.signer.full_name),
        ),
        _leaf("DueDate", document.due_date.text if document.due_date else None),
        _list("ToPlaces", "Place", document.to_places),
        _other_info(document.other_info),
        *map(_response_for, document.response_for),
        _number("SteeringType", document.steering_type),
        _list("ResponseForTask", "TaskCode", document.response_for_task),
        _leaf("ApplicationType", document.application_type),
    )


def _status_header(status: StatusMessage) -> str:
    return _joined(
        _organ("From", status.sender),
        _response_for(status.response_for),
        _status_staff(status.staff) if status.staff else "",
        _leaf("StatusCode", status.status_code.value),
        _leaf("Description", status.description),
        _leaf("Timestamp", status.timestamp.text),
    )


def _organ(name: str, organ: Organ) -> str:
    return _element(
        name,
        _leaf("OrganId", organ.organ_id.value),
        _leaf("OrganizationInCharge", organ.organization_in_charge),
        _leaf("OrganName", organ.organ_name),
        _leaf("OrganAdd", organ.organ_add),
        _leaf("Email", organ.email),
        _leaf("Telephone", organ.telephone),
        _leaf("Fax", organ.fax),
        _leaf("Website", organ.website),
    )


def _other_info(info: OtherInfo) -> str:
    return _element(
        "OtherInfo",
        _number("Priority", info.priority.value),
        _leaf("SphereOfPromulgation", info.sphere_of_promulgation),
        _leaf("TyperNotation", info.typer_notation),
        _number("PromulgationAmount", info.promulgation_amount),
        _number("PageAmount", info.page_amount),
        _leaf("Direction", info.direction),
        _list("Appendixes", "Appendix", info.appendixes),
    )


def _response_for(response: ResponseFor) -> str:
    return _element(
        "ResponseFor",
        _leaf("OrganId", response.organ_id.value if response.organ_id else None),
        _leaf("Code", response.code),
        _leaf("PromulgationDate", response.promulgation_date.text if response.promulgation_date else None),
        _leaf("DocumentId", response.document_id),
    )


def _trace(trace: TraceHeader) -> str:
    organ_id = _leaf("OrganId", trace.organ_id.value if trace.organ_id else None)
    return _element("TraceHeader", organ_id, _leaf("Timestamp", trace.timestamp.text))


def _business(business: Business) -> str:
    return _element(
        "Bussiness",
        _leaf("DocumentId", business.document_id),
        _number("BussinessDocType", business.type.value),
        _leaf("BussinessDocReason", business.reason),
        _number("Paper", int(business.paper)),
        _business_staff(business.staff) if business.staff else "",
        _document_info(business.document_info) if business.document_info else "",
        _replacements(business.replacements) if business.replacements is not None else "",
    )


def _business_staff(staff: StaffInfo) -> str:
    return _element(
        "StaffInfo",
        _leaf("Department", staff.department),
        _leaf("Staff", staff.staff),
        _leaf("Email", staff.email),
        _leaf("Mobile", staff.mobile),
    )


def _status_staff(staff: StaffInfo) -> str:
    # Mobile before Email, unlike in Bussiness: so the standard writes it.
    return _element(
        "StaffInfo",
        _leaf("Department", staff.department),
        _leaf("Staff", staff.staff),
        _leaf("Mobile", staff.mobile),
        _leaf("Email", staff.email),
    )


def _document_info(info: BusinessDocumentInfo) -> str:
    receivers = (
        _element(
            "Receiver",
            _leaf("OrganId", receiver.organ_id.value),
            _number("ReceiverType", receiver.receiver_type.value),
        )
        for receiver in info.receivers
    )
    return _element(
        "BussinessDocumentInfo",
        _number("DocumentInfo", int(info.document_info)),
        _number("DocumentReceiver", int(info.document_receiver)),
        _element("ReceiverList", *receivers) if info.receivers else "",
    )


def _replacements(replacements: tuple[ReplacementInfo, ...]) -> str:
    return _element(
        "ReplacementInfoList",
        *(
            _element(
                "ReplacementInfo",
                _leaf("DocumentId", replacement.document_id),
                _list("OrganIdList", "OrganId", tuple(code.value for code in replacement.organ_ids) or None),
            )
            for replacement in replacements
        ),
    )


def _reference(reference: Reference) -> str:
    return _element(
        "Reference",
        _leaf("ContentId", f"cid:{reference.content_id}"),
        _leaf("ContentType", reference.content_type),
        _leaf("AttachmentName", reference.attachment_name),
        _leaf("Description", reference.description),
    )


def _joined(*pieces: str) -> str:
    return "".join(pieces)


def _element(name: str, *contents: str) -> str:
    return f"<edXML:{name}>{''.join(contents)}</edXML:{name}>"


def _leaf(name: str, text: str | None) -> str:
    """An element that holds a text; nothing for None."""
    return "" if text is None else f"<edXML:{name}>{escaped(text)}</edXML:{name}>"


def _number(name: str, number: int | None) -> str:
    return "" if number is None else f"<edXML:{name}>{number:d}</edXML:{name}>"


def _list(name: str, item: str, texts: tuple[str, ...] | None) -> str:
    """An element that holds an element for each text; nothing for None, an empty element for none."""
    return "" if texts is None else _element(name, *(_leaf(item, text) for text in texts))
