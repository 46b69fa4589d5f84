"""A message as JSON, under the names that document metadata has: what a program reads is what it would write.

`schemas.metadata` is the way back. Texts stand as they were written; what a message does not say is left out.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from schemas.message import (
    Business,
    Document,
    Message,
    Organ,
    Receiver,
    ResponseFor,
    StaffInfo,
    StatusCode,
    StatusMessage,
)

#: What every agency code here looks like; the node says what is wrong with one that is none.
CODE_PATTERN: Final = r"^[0-9A-Za-z]+(\.[0-9A-Za-z]+)*$"

Code: TypeAlias = Annotated[str, Field(pattern=CODE_PATTERN, min_length=3, max_length=35, examples=["H23", "H23.12"])]


class JsonShape(BaseModel):
    """A JSON object; the docstrings of the members explain them in the documentation."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, serialize_by_alias=True, validate_by_name=True
    )


class OrganJson(JsonShape):
    """An agency as the document names it."""

    organ_id: str
    organ_name: str | None = None
    organization_in_charge: str | None = None
    organ_add: str | None = None
    email: str | None = None
    telephone: str | None = None
    fax: str | None = None
    website: str | None = None


class DocumentCodeJson(JsonShape):
    """Số, ký hiệu / Number and notation."""

    number: str
    notation: str


class DocumentTypeJson(JsonShape):
    """Loại văn bản / Type of document."""

    type: int
    """1 legal normative, 2 administrative."""
    type_detail: int | None = None
    type_name: str


class SignerJson(JsonShape):
    """Người ký / Who signed the paper."""

    competence: str | None = None
    position: str | None = None
    full_name: str


class StaffJson(JsonShape):
    """Cán bộ xử lý / Who deals with it."""

    department: str | None = None
    staff: str | None = None
    email: str | None = None
    mobile: str | None = None


class ResponseForJson(JsonShape):
    """Văn bản được nói tới / The document that is spoken of."""

    organ_id: str | None = None
    code: str | None = None
    promulgation_date: str | None = None
    document_id: str | None = None


class ReceiverJson(JsonShape):
    """An agency that an update adds or removes."""

    organ_id: str
    receiver_type: Literal["added", "removed"]


class DocumentInfoJson(JsonShape):
    """What an update changes."""

    document_info: bool
    document_receiver: bool
    receivers: tuple[ReceiverJson, ...]


class ReplacementJson(JsonShape):
    """A document that is replaced, and for whom."""

    document_id: str
    organ_ids: tuple[str, ...]


class BusinessJson(JsonShape):
    """Nghiệp vụ / What the document does to an earlier one."""

    type: Literal["new", "recall", "update", "replace"]
    reason: str
    paper: bool
    document_id: str | None = None
    staff: StaffJson | None = None
    document_info: DocumentInfoJson | None = None
    replacements: tuple[ReplacementJson, ...] | None = None


class DocumentJson(JsonShape):
    """Văn bản / A document."""

    kind: Literal["document"] = "document"
    from_: Annotated[OrganJson, Field(alias="from")]
    to: tuple[OrganJson, ...]
    document_id: str
    code: DocumentCodeJson
    place: str
    date: str
    """Ngày ban hành / Day of issue, as it is written: yyyy/MM/dd."""
    document_type: DocumentTypeJson
    subject: str
    """Trích yếu."""
    content: str
    signer: SignerJson
    due_date: str | None = None
    """Hạn xử lý / Deadline, as it is written: yyyy/MM/dd."""
    to_places: tuple[str, ...] | None = None
    priority: Annotated[int, Field(ge=0, le=4)]
    """Độ khẩn: 0 thường, 1 khẩn, 2 thượng khẩn, 3 hỏa tốc, 4 hỏa tốc hẹn giờ."""
    sphere_of_promulgation: str | None = None
    typer_notation: str | None = None
    promulgation_amount: int | None = None
    page_amount: int | None = None
    direction: str | None = None
    appendixes: tuple[str, ...] | None = None
    response_for: tuple[ResponseForJson, ...]
    steering_type: int
    response_for_task: tuple[str, ...] | None = None
    application_type: str | None = None
    business: BusinessJson | None = None


class StatusJson(JsonShape):
    """Trạng thái xử lý / What a recipient says of a document."""

    kind: Literal["status"] = "status"
    from_: Annotated[OrganJson, Field(alias="from")]
    response_for: ResponseForJson
    status: StatusCode
    description: str | None = None
    staff: StaffJson | None = None
    at: str
    """As it is written, Vietnam's time: yyyy/MM/dd HH:mm:ss."""


MessageJson: TypeAlias = Annotated[DocumentJson | StatusJson, Field(discriminator="kind")]


def message_json(message: Message) -> DocumentJson | StatusJson:
    """`message` as JSON shows it."""
    if isinstance(message, StatusMessage):
        return StatusJson(
            from_=_organ(message.sender),
            response_for=_answered(message.response_for),
            status=message.status_code,
            description=message.description,
            staff=_staff(message.staff),
            at=message.timestamp.text,
        )
    return _document(message)


def _document(document: Document) -> DocumentJson:
    other = document.other_info
    kind = document.document_type
    return DocumentJson(
        from_=_organ(document.sender),
        to=tuple(map(_organ, document.recipients)),
        document_id=document.document_id,
        code=DocumentCodeJson(number=document.code.number, notation=document.code.notation),
        place=document.promulgation.place,
        date=document.promulgation.date.text,
        document_type=DocumentTypeJson(type=kind.type, type_detail=kind.type_detail, type_name=kind.type_name),
        subject=document.subject,
        content=document.content,
        signer=SignerJson(
            competence=document.signer.competence,
            position=document.signer.position,
            full_name=document.signer.full_name,
        ),
        due_date=document.due_date.text if document.due_date else None,
        to_places=document.to_places,
        priority=int(other.priority),
        sphere_of_promulgation=other.sphere_of_promulgation,
        typer_notation=other.typer_notation,
        promulgation_amount=other.promulgation_amount,
        page_amount=other.page_amount,
        direction=other.direction,
        appendixes=other.appendixes,
        response_for=tuple(map(_answered, document.response_for)),
        steering_type=document.steering_type,
        response_for_task=document.response_for_task,
        application_type=document.application_type,
        business=_business(document.business) if document.business else None,
    )


def _organ(organ: Organ) -> OrganJson:
    return OrganJson(
        organ_id=organ.organ_id.value,
        organ_name=organ.organ_name,
        organization_in_charge=organ.organization_in_charge,
        organ_add=organ.organ_add,
        email=organ.email,
        telephone=organ.telephone,
        fax=organ.fax,
        website=organ.website,
    )


def _answered(answered: ResponseFor) -> ResponseForJson:
    return ResponseForJson(
        organ_id=answered.organ_id.value if answered.organ_id else None,
        code=answered.code,
        promulgation_date=answered.promulgation_date.text if answered.promulgation_date else None,
        document_id=answered.document_id,
    )


def _staff(staff: StaffInfo | None) -> StaffJson | None:
    if staff is None:
        return None
    return StaffJson(department=staff.department, staff=staff.staff, email=staff.email, mobile=staff.mobile)


def _business(business: Business) -> BusinessJson:
    info = business.document_info
    return BusinessJson.model_validate(
        {
            "type": business.type.name.lower(),
            "reason": business.reason,
            "paper": business.paper,
            "document_id": business.document_id,
            "staff": _staff(business.staff),
            "document_info": DocumentInfoJson(
                document_info=info.document_info,
                document_receiver=info.document_receiver,
                receivers=tuple(map(_receiver, info.receivers)),
            )
            if info
            else None,
            "replacements": tuple(
                ReplacementJson(
                    document_id=replaced.document_id, organ_ids=tuple(code.value for code in replaced.organ_ids)
                )
                for replaced in business.replacements
            )
            if business.replacements is not None
            else None,
        }
    )


def _receiver(receiver: Receiver) -> ReceiverJson:
    return ReceiverJson.model_validate(
        {"organ_id": receiver.organ_id.value, "receiver_type": receiver.receiver_type.name.lower()}
    )
