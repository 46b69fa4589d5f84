"""The two edXML messages, document and status, as frozen values (QCVN 102:2016/BTTTT).

Fields stand in the order of the standard's form. In an optional text field None means that the element is absent
and "" that it is there and empty: both occur, and a signed message keeps the difference.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TypeAlias

from schemas.codes import AgencyCode
from schemas.times import DateText, TimestampText


class BusinessType(IntEnum):
    """BussinessDocType: what the document does to an earlier one."""

    NEW = 0
    RECALL = 1
    UPDATE = 2
    REPLACE = 3


class StatusCode(StrEnum):
    """StatusCode of a status message."""

    ARRIVED = "01"
    REFUSED = "02"
    ACCEPTED = "03"
    ASSIGNED = "04"
    PROCESSING = "05"
    FINISHED = "06"
    TAKEN_BACK = "13"
    REQUEST_AGREED = "15"
    REQUEST_REFUSED = "16"


class Priority(IntEnum):
    """OtherInfo/Priority: normal, khẩn, thượng khẩn, hỏa tốc, hỏa tốc hẹn giờ."""

    NORMAL = 0
    URGENT = 1
    VERY_URGENT = 2
    EXPRESS = 3
    EXPRESS_APPOINTED = 4

    @property
    def is_express(self) -> bool:
        return self >= Priority.EXPRESS


class ReceiverType(IntEnum):
    """ReceiverType of an update's receiver list."""

    REMOVED = 0
    ADDED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Organ:
    """An agency as From or To names it."""

    organ_id: AgencyCode
    organization_in_charge: str | None = None
    organ_name: str | None = None
    organ_add: str | None = None
    email: str | None = None
    telephone: str | None = None
    fax: str | None = None
    website: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentCode:
    """Code: the number and the notation on the paper (`6101`, `VPCP-KSTT`). The number can hold letters."""

    number: str
    notation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromulgationInfo:
    place: str
    date: DateText


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentType:
    """DocumentType: group (1 legal normative, 2 administrative), number in the group, name in words."""

    type: int
    type_detail: int | None = None
    type_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerInfo:
    competence: str | None = None
    position: str | None = None
    full_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherInfo:
    priority: Priority = Priority.NORMAL
    sphere_of_promulgation: str | None = None
    typer_notation: str | None = None
    promulgation_amount: int | None = None
    page_amount: int | None = None
    direction: str | None = None
    appendixes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseFor:
    """The document that a document answers or a status speaks of. Every field can be absent in real messages."""

    organ_id: AgencyCode | None = None
    code: str | None = None
    promulgation_date: DateText | None = None
    document_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffInfo:
    department: str | None = None
    staff: str | None = None
    email: str | None = None
    mobile: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceHeader:
    """One hop as its system noted it. Real systems write no agency, or the word `null`."""

    organ_id: AgencyCode | None
    timestamp: TimestampText


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    organ_id: AgencyCode
    receiver_type: ReceiverType


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessDocumentInfo:
    """What an update changes: the document itself, its receivers, or both."""

    document_info: bool
    document_receiver: bool
    receivers: tuple[Receiver, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacementInfo:
    """One document replaced, and the agencies for whom it is."""

    document_id: str
    organ_ids: tuple[AgencyCode, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Business:
    """Bussiness (the standard's spelling): what is done to an earlier document, and who does it.

    `replacements` is None where ReplacementInfoList is absent.
    """

    document_id: str | None = None
    type: BusinessType
    reason: str
    paper: bool
    staff: StaffInfo | None = None
    document_info: BusinessDocumentInfo | None = None
    replacements: tuple[ReplacementInfo, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A line of the manifest: one attachment, by its content id without the `cid:` prefix.

    In a message that travels the id is `sha256-<64 hex>`; two attachments with equal bytes then share it and are
    two references under their own names.
    """

    content_id: str
    content_type: str
    attachment_name: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document message: MessageHeader, TraceHeaderList and manifest."""

    sender: Organ
    recipients: tuple[Organ, ...]
    document_id: str
    code: DocumentCode
    promulgation: PromulgationInfo
    document_type: DocumentType
    subject: str
    content: str
    signer: SignerInfo
    due_date: DateText | None = None
    to_places: tuple[str, ...] | None = None
    other_info: OtherInfo = field(default_factory=OtherInfo)
    response_for: tuple[ResponseFor, ...] = ()
    steering_type: int = 0
    response_for_task: tuple[str, ...] | None = None
    application_type: str | None = None
    trace: tuple[TraceHeader, ...]
    business: Business | None = None
    references: tuple[Reference, ...] = ()

    @property
    def business_type(self) -> BusinessType:
        """What the document does; a document without Bussiness is a new one."""
        return self.business.type if self.business else BusinessType.NEW

    @property
    def priority(self) -> Priority:
        return self.other_info.priority


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusMessage:
    """A status message: `sender` reports what became of the document that `response_for` names."""

    sender: Organ
    response_for: ResponseFor
    staff: StaffInfo | None = None
    status_code: StatusCode
    description: str | None = None
    timestamp: TimestampText


Message: TypeAlias = Document | StatusMessage
