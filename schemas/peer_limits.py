"""How much text peers on the axis take: what is longer is cut or refused by their software, not by ours."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.findings import Finding
from schemas.message import Document, Message, Organ, StaffInfo, StatusMessage

#: Characters, by element name, as receivers on the axis store them.
SUBJECT = 500
ORGAN = 500
PLACE = 50
FULL_NAME = 50
CODE_NOTATION = 30
CODE_NUMBER = 11
ATTACHMENT_NAME = 500
STAFF = 100


def beyond_peer_limits(message: Message) -> tuple[Finding, ...]:
    """A finding for each text of `message` that is longer than peers take; the text itself is never cut here."""
    texts = _document_texts(message) if isinstance(message, Document) else _status_texts(message)
    return tuple(
        Finding(
            code="text-beyond-peers",
            message=f"{element.rpartition('/')[2]} has {len(text)} characters; peers cut or refuse more than {most}.",
            element=element,
            strict_refuses=True,
        )
        for element, text, most in texts
        if text is not None and len(text) > most
    )


_Texts = Iterator[tuple[str, str | None, int]]


def _document_texts(document: Document) -> _Texts:
    yield from _organ_texts("MessageHeader/From", document.sender)
    for number, recipient in enumerate(document.recipients, 1):
        yield from _organ_texts(f"MessageHeader/To[{number}]", recipient)
    yield "MessageHeader/Code/CodeNumber", document.code.number, CODE_NUMBER
    yield "MessageHeader/Code/CodeNotation", document.code.notation, CODE_NOTATION
    yield "MessageHeader/PromulgationInfo/Place", document.promulgation.place, PLACE
    yield "MessageHeader/Subject", document.subject, SUBJECT
    yield "MessageHeader/Content", document.content, SUBJECT
    yield "MessageHeader/SignerInfo/FullName", document.signer.full_name, FULL_NAME
    if document.business and document.business.staff:
        yield from _staff_texts("TraceHeaderList/Bussiness/StaffInfo", document.business.staff)
    for number, reference in enumerate(document.references, 1):
        element = f"edXMLManifest/Reference[{number}]/AttachmentName"
        yield element, reference.attachment_name, ATTACHMENT_NAME


def _status_texts(status: StatusMessage) -> _Texts:
    yield from _organ_texts("MessageHeader/From", status.sender)
    if status.staff:
        yield from _staff_texts("MessageHeader/StaffInfo", status.staff)


def _organ_texts(element: str, organ: Organ) -> _Texts:
    yield f"{element}/OrganizationInCharge", organ.organization_in_charge, ORGAN
    yield f"{element}/OrganName", organ.organ_name, ORGAN
    yield f"{element}/OrganAdd", organ.organ_add, ORGAN


def _staff_texts(element: str, staff: StaffInfo) -> _Texts:
    yield f"{element}/Department", staff.department, STAFF
    yield f"{element}/Staff", staff.staff, STAFF
    yield f"{element}/Email", staff.email, STAFF
    yield f"{element}/Mobile", staff.mobile, STAFF
