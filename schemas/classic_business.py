"""TraceHeaderList of a classic file to values: where a document has been, and what it does to an earlier one."""

from __future__ import annotations

from schemas.classic_elements import ClassicElement, Findings
from schemas.classic_fields import ClassicFields, code_of
from schemas.codes import AgencyCode
from schemas.errors import MalformedMessage
from schemas.message import (
    Business,
    BusinessDocumentInfo,
    BusinessType,
    Receiver,
    ReceiverType,
    ReplacementInfo,
    StaffInfo,
    TraceHeader,
)

_BUSINESS = (
    "DocumentId",
    "BussinessDocType",
    "BussinessDocReason",
    "Paper",
    "StaffInfo",
    "BussinessDocumentInfo",
    "ReplacementInfoList",
)
_STAFF = ("Department", "Staff", "Email", "Mobile")


def trace_and_business(header: ClassicFields, findings: Findings) -> tuple[tuple[TraceHeader, ...], Business | None]:
    """What the TraceHeaderList of edXMLHeader holds; a finding where it is absent or has no TraceHeader.

    Raises:
        MalformedCode: an agency that the document speaks about has no code.
        MalformedMessage: what the document does to an earlier one cannot be read.
    """
    traces = header.expected("TraceHeaderList")
    if traces is None:
        return (), None
    fields = ClassicFields(traces, ("TraceHeader", "Bussiness"), findings, lists=("TraceHeader",))
    fields.expected("TraceHeader")
    business = fields.child("Bussiness")
    return (
        tuple(_trace(trace, findings) for trace in fields.each("TraceHeader")),
        _business(business, findings) if business is not None else None,
    )


def staff_of(element: ClassicElement, findings: Findings) -> StaffInfo:
    """StaffInfo, of a document or of a status."""
    fields = ClassicFields(element, _STAFF, findings)
    return StaffInfo(
        department=fields.text("Department"),
        staff=fields.text("Staff"),
        email=fields.text("Email"),
        mobile=fields.text("Mobile"),
    )


def _trace(element: ClassicElement, findings: Findings) -> TraceHeader:
    fields = ClassicFields(element, ("OrganId", "Timestamp"), findings)
    return TraceHeader(organ_id=fields.agency_if_known("OrganId"), timestamp=fields.timestamp("Timestamp"))


def _business(element: ClassicElement, findings: Findings) -> Business:
    # VNPT's library writes these two as lists; several staff are several people, and the first one is kept.
    fields = ClassicFields(element, _BUSINESS, findings, lists=("StaffInfo", "ReplacementInfoList"))
    staff = fields.each("StaffInfo")
    for further in staff[1:]:
        findings.add("staff-left-out", "Only the first StaffInfo is kept.", further)
    info = fields.child("BussinessDocumentInfo")
    replacements = fields.each("ReplacementInfoList")
    return Business(
        document_id=fields.text("DocumentId"),
        type=_business_type(fields),
        reason=fields.expected_text("BussinessDocReason"),
        paper=fields.flag("Paper"),
        staff=staff_of(staff[0], findings) if staff else None,
        document_info=_document_info(info, findings) if info is not None else None,
        replacements=tuple(one for each in replacements for one in _replacements(each, findings))
        if replacements
        else None,
    )


def _business_type(fields: ClassicFields) -> BusinessType:
    """What the document does. Without BussinessDocType it is a new one; an unknown one is not guessed at."""
    word = fields.word("BussinessDocType")
    if word is None:
        fields.note("BussinessDocType", "element-missing", "BussinessDocType is missing; the document is read as new.")
        return BusinessType.NEW
    known = {str(kind.value): kind for kind in BusinessType}
    if word not in known:
        raise fields.required("BussinessDocType").located(
            MalformedMessage(
                "business-type-unknown",
                f"BussinessDocType is {word[:60]!r}, so that it is not known what the document does.",
                mend="Write 0 (new), 1 (recall), 2 (update) or 3 (replace).",
            )
        )
    return known[word]


def _document_info(element: ClassicElement, findings: Findings) -> BusinessDocumentInfo:
    fields = ClassicFields(element, ("DocumentInfo", "DocumentReceiver", "ReceiverList"), findings)
    listed = fields.child("ReceiverList")
    receivers = ClassicFields(listed, ("Receiver",), findings, lists=("Receiver",)).each("Receiver") if listed else []
    return BusinessDocumentInfo(
        document_info=fields.flag("DocumentInfo"),
        document_receiver=fields.flag("DocumentReceiver"),
        receivers=tuple(_receiver(receiver, findings) for receiver in receivers),
    )


def _receiver(element: ClassicElement, findings: Findings) -> Receiver:
    fields = ClassicFields(element, ("OrganId", "ReceiverType"), findings)
    word = fields.word("ReceiverType")
    known = {str(kind.value): kind for kind in ReceiverType}
    if word not in known:
        raise element.located(
            MalformedMessage(
                "receiver-type-unknown",
                f"ReceiverType is {word!r}, so that it is not known whether the agency is added or removed.",
                mend="Write 0 (removed) or 1 (added).",
            )
        )
    return Receiver(organ_id=fields.agency("OrganId"), receiver_type=known[word])


def _replacements(element: ClassicElement, findings: Findings) -> tuple[ReplacementInfo, ...]:
    fields = ClassicFields(element, ("ReplacementInfo",), findings, lists=("ReplacementInfo",))
    return tuple(_replacement(one, findings) for one in fields.each("ReplacementInfo"))


def _replacement(element: ClassicElement, findings: Findings) -> ReplacementInfo:
    fields = ClassicFields(element, ("DocumentId", "OrganIdList"), findings)
    return ReplacementInfo(
        document_id=fields.expected_text("DocumentId"), organ_ids=_codes(fields.child("OrganIdList"), findings)
    )


def _codes(listed: ClassicElement | None, findings: Findings) -> tuple[AgencyCode, ...]:
    if listed is None:
        return ()
    fields = ClassicFields(listed, ("OrganId",), findings, lists=("OrganId",))
    return tuple(code_of(one, findings) for one in fields.each("OrganId"))
