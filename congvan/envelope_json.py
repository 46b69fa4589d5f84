"""An edXML file as JSON: its elements under their edXML names, nested as in the file.

Every leaf is the element's text exactly as written, a number too: `"Priority": "0"`. What the form allows several times
is a list even where there is one (`To`, `TraceHeader`, a document's `ResponseFor`, `Reference`, …).
"""

from __future__ import annotations

from typing import TypeAlias

from congvan.envelope_files import AttachmentFile, EdxmlFile
from schemas.classic_elements import ClassicElement
from schemas.findings import Finding
from schemas.message import Document

Json: TypeAlias = "str | int | bool | list[Json] | dict[str, Json] | None"

_LISTS = frozenset(
    {
        "To",
        "TraceHeader",
        "Reference",
        "Receiver",
        "ReplacementInfo",
        "Appendix",
        "TaskCode",
        # In our extension.
        "About",
        "Selector",
        "AttachmentSize",
    }
)
#: Names that mean one element here and several there, by the element above.
_LISTS_WITHIN = frozenset({("ToPlaces", "Place"), ("OrganIdList", "OrganId")})
#: Elements that hold others, even where they are empty in a file.
_CONTAINERS = frozenset(
    {
        "From",
        "To",
        "PromulgationInfo",
        "DocumentType",
        "SignerInfo",
        "ToPlaces",
        "OtherInfo",
        "Appendixes",
        "ResponseFor",
        "ResponseForTask",
        "StaffInfo",
        "TraceHeader",
        "TraceHeaderList",
        "Bussiness",
        "BussinessDocumentInfo",
        "ReceiverList",
        "Receiver",
        "ReplacementInfoList",
        "ReplacementInfo",
        "OrganIdList",
        "edXMLManifest",
        "edXMLBody",
        "MessageHeader",
        "Extension",
    }
)


def as_json(file: EdxmlFile) -> dict[str, Json]:
    """The file as `congvan envelope show --json` prints it, without what is said of a seal."""
    envelope = file.root.first("edXMLEnvelope")
    header = envelope.first("edXMLHeader") if envelope is not None else None
    shown: dict[str, Json] = {
        "file": str(file.path),
        "form": "travelling" if file.travelling else "classic",
        "message": "document" if isinstance(file.message, Document) else "status",
    }
    for parent, names in (
        (header, ("MessageHeader", "TraceHeaderList", "Extension")),
        (envelope, ("edXMLBody",)),
    ):
        for name in names:
            if parent is not None and (element := parent.first(name)) is not None:
                shown[name] = _nested(element, isinstance(file.message, Document))
    shown["Attachments"] = [attachment_as_json(attachment) for attachment in file.attachments]
    shown["warnings"] = [finding_as_json(finding) for finding in file.findings]
    return shown


def attachment_as_json(attachment: AttachmentFile) -> dict[str, Json]:
    return {
        "ContentId": attachment.content_id,
        "AttachmentName": attachment.name,
        "Description": attachment.description,
        "ContentType": attachment.content_type,
        "wrapped": attachment.wrapped,
        "size": attachment.size,
        "sha256": attachment.digest,
    }


def finding_as_json(finding: Finding) -> dict[str, Json]:
    return {
        "code": finding.code,
        "message": finding.message,
        "element": finding.element,
        "line": finding.line,
        "strict_refuses": finding.strict_refuses,
    }


def _nested(element: ClassicElement, in_document: bool) -> Json:
    if not element.children and element.name not in _CONTAINERS:
        return element.text
    nested: dict[str, Json] = {}
    for child in element.children:
        value = _nested(child, in_document)
        found = nested.get(child.name)
        if isinstance(found, list):
            found.append(value)
        elif found is not None:
            # Nothing of the form (an element that nobody knows, several lists of replacements) is shown all the same.
            nested[child.name] = [found, value]
        else:
            nested[child.name] = [value] if _is_list(child, element, in_document) else value
    return nested


def _is_list(element: ClassicElement, parent: ClassicElement, in_document: bool) -> bool:
    """A status answers one document, a document any number of them."""
    if element.name == "ResponseFor":
        return in_document
    return element.name in _LISTS or (parent.name, element.name) in _LISTS_WITHIN
