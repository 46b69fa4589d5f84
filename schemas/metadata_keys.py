"""The keys of document metadata and the forms that their values may have."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from typing import Annotated, Self, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from schemas.codes import AgencyCode
from schemas.durations import parse_duration
from schemas.envelope import Selector
from schemas.errors import MalformedCode, Rejected
from schemas.message import BusinessType, Priority, ReceiverType
from schemas.recipients import is_selector, parse_selector
from schemas.times import VIETNAM, DateText

_PRIORITY_WORDS = {
    "thường": Priority.NORMAL,
    "khẩn": Priority.URGENT,
    "thượng khẩn": Priority.VERY_URGENT,
    "hỏa tốc": Priority.EXPRESS,
    "hoả tốc": Priority.EXPRESS,
    "hỏa tốc hẹn giờ": Priority.EXPRESS_APPOINTED,
    "hoả tốc hẹn giờ": Priority.EXPRESS_APPOINTED,
}

#: TypeDetail in group 2 (administrative documents), by TypeName.
_ADMINISTRATIVE_TYPES = {
    "nghị quyết": 1,
    "quyết định": 2,
    "chỉ thị": 3,
    "quy chế": 4,
    "quy định": 5,
    "thông cáo": 6,
    "thông báo": 7,
    "hướng dẫn": 8,
    "chương trình": 9,
    "công văn": 18,
    "công điện": 19,
    "bản ghi nhớ": 20,
    "bản cam kết": 21,
    "bản thỏa thuận": 22,
    "giấy chứng nhận": 23,
    "giấy ủy quyền": 24,
    "giấy mời": 25,
    "giấy giới thiệu": 26,
}
_ADMINISTRATIVE = 2

_DAY_CHARACTERS = len("2026-12-01")

_CODE = re.compile(r"\s*([^/\s]+)\s*/\s*(\S.*?)\s*")

Word = TypeVar("Word", Priority, BusinessType, ReceiverType)


def _spoken(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


def _agency_code(value: object) -> AgencyCode:
    if isinstance(value, AgencyCode):
        return value
    if not isinstance(value, str):
        raise ValueError("must be an agency code in quotes, such as H23")
    try:
        return AgencyCode.parse(value.strip())
    except MalformedCode as error:
        raise ValueError(error.message) from error


def _date_text(value: object) -> DateText:
    if isinstance(value, dt.datetime):
        return DateText.of(value.date())
    if isinstance(value, dt.date):
        return DateText.of(value)
    day = DateText(value.strip().replace("-", "/")).date if isinstance(value, str) else None
    if day is None:
        raise ValueError("must be a day that exists, such as 2026-11-20 or 20/11/2026")
    return DateText.of(day)


def _expiry(value: object) -> dt.datetime | dt.timedelta:
    """An instant, or how long after the sending; a day ends at midnight and a time without zone is Vietnam's."""
    try:
        if isinstance(value, str):
            value = _written_expiry(value.strip())
        if isinstance(value, dt.timedelta):
            return value
        if isinstance(value, dt.datetime):
            return (value if value.tzinfo else value.replace(tzinfo=VIETNAM)).astimezone(dt.UTC)
        if isinstance(value, dt.date):
            midnight = dt.datetime(value.year, value.month, value.day, tzinfo=VIETNAM) + dt.timedelta(days=1)
            return midnight.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("must be a length of time, such as 2h or 3d, or an instant, such as 2026-12-01T17:00:00+07:00")


def _written_expiry(text: str) -> dt.date | dt.timedelta:
    try:
        return parse_duration(text)
    except ValueError:
        # A day alone is a date, and no instant at its beginning.
        return dt.date.fromisoformat(text) if len(text) == _DAY_CHARACTERS else dt.datetime.fromisoformat(text)


def _word(kind: type[Word], words: dict[str, Word], value: object) -> Word:
    """A member of `kind` by number, by its English name in lower case, or by one of `words`."""
    by_word = {member.name.lower().replace("_", " "): member for member in kind} | words
    text = _spoken(str(value)).replace("_", " ")
    if text in by_word:
        return by_word[text]
    if text.isdecimal() and int(text) in [member.value for member in kind] and not isinstance(value, bool):
        return kind(int(text))
    raise ValueError(f"must be one of {', '.join(map(repr, by_word))}, or {min(kind):d} to {max(kind):d}")


def _priority(value: object) -> Priority:
    return _word(Priority, _PRIORITY_WORDS, value)


def _business_type(value: object) -> BusinessType:
    return _word(BusinessType, {}, value)


def _receiver_type(value: object) -> ReceiverType:
    return _word(ReceiverType, {}, value)


def _code_table(value: object) -> object:
    if not isinstance(value, str):
        return value
    parts = _CODE.fullmatch(value)
    if parts is None:
        raise ValueError("must be a number and a notation, such as 6101/VPCP-KSTT")
    return {"number": parts[1], "notation": parts[2]}


def _number_text(value: object) -> object:
    """A number of a document, or of a telephone, is as often written 6101 as "6101"."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _organ_table(value: object) -> object:
    return {"organ_id": value} if isinstance(value, str | AgencyCode) else value


def _recipient(value: object, organ: ValidatorFunctionWrapHandler) -> object:
    """An agency as a table or a code; a selector stays one."""
    if not isinstance(value, str) or not is_selector(value.strip()):
        return organ(_organ_table(value))
    try:
        return parse_selector(value.strip())
    except Rejected as error:
        raise ValueError(error.message) from error


def _signer_table(value: object) -> object:
    return {"full_name": value} if isinstance(value, str) else value


def _type_table(value: object) -> object:
    return {"type_name": value} if isinstance(value, str) else value


Code = Annotated[AgencyCode, PlainValidator(_agency_code)]
Date = Annotated[DateText, PlainValidator(_date_text)]
Expiry = Annotated[dt.datetime | dt.timedelta, PlainValidator(_expiry)]
Text = Annotated[str, Field(min_length=1)]
NumberText = Annotated[str, BeforeValidator(_number_text)]


class _Keys(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        str_strip_whitespace=True,
        # A member of the tables is named in errors as people write it.
        loc_by_alias=True,
    )


class OrganKeys(_Keys):
    organ_id: Code
    organization_in_charge: str | None = None
    organ_name: str | None = None
    organ_add: str | None = None
    email: str | None = None
    telephone: NumberText | None = None
    fax: NumberText | None = None
    website: str | None = None


class CodeKeys(_Keys):
    number: Annotated[NumberText, Field(min_length=1)]
    notation: Text


class DocumentTypeKeys(_Keys):
    type: int = _ADMINISTRATIVE
    type_detail: int | None = None
    type_name: Text = "Công văn"

    @property
    def detail(self) -> int | None:
        """The number in the group: as given, or by the name in group 2, or none."""
        if self.type_detail is None and self.type == _ADMINISTRATIVE:
            return _ADMINISTRATIVE_TYPES.get(_spoken(self.type_name))
        return self.type_detail


class SignerKeys(_Keys):
    competence: str | None = None
    position: str | None = None
    full_name: Text


class ResponseForKeys(_Keys):
    organ_id: Code | None = None
    code: str | None = None
    promulgation_date: Date | None = None
    document_id: Text


class StaffKeys(_Keys):
    department: str | None = None
    staff: str | None = None
    email: str | None = None
    mobile: NumberText | None = None


class ReceiverKeys(_Keys):
    organ_id: Code
    receiver_type: Annotated[ReceiverType, PlainValidator(_receiver_type)]


class DocumentInfoKeys(_Keys):
    document_info: bool = False
    document_receiver: bool = False
    receivers: tuple[ReceiverKeys, ...] = ()


class ReplacementKeys(_Keys):
    document_id: Text
    organ_ids: tuple[Code, ...] = ()


class BusinessKeys(_Keys):
    type: Annotated[BusinessType, PlainValidator(_business_type)] = BusinessType.NEW
    reason: str | None = None
    paper: bool = False
    document_id: str | None = None
    staff: StaffKeys | None = None
    document_info: DocumentInfoKeys | None = None
    replacements: tuple[ReplacementKeys, ...] | None = None


class MetadataKeys(_Keys):
    """All that metadata can say of a document."""

    from_: Annotated[OrganKeys, BeforeValidator(_organ_table)] | None = Field(
        default=None, validation_alias=AliasChoices("from", "from_")
    )
    to: tuple[Annotated[OrganKeys, WrapValidator(_recipient)], ...] = ()
    document_id: Text | None = None
    code: Annotated[CodeKeys, BeforeValidator(_code_table)]
    place: Text
    date: Date | None = None
    document_type: Annotated[DocumentTypeKeys, BeforeValidator(_type_table)] = DocumentTypeKeys()
    subject: Text
    content: str | None = None
    signer: Annotated[SignerKeys, BeforeValidator(_signer_table)]
    due_date: Date | None = None
    expires_at: Expiry | None = None
    to_places: tuple[str, ...] | None = None
    priority: Annotated[Priority, PlainValidator(_priority)] = Priority.NORMAL
    sphere_of_promulgation: str | None = None
    typer_notation: str | None = None
    promulgation_amount: Annotated[int, Field(ge=0)] | None = None
    page_amount: Annotated[int, Field(ge=0)] | None = None
    direction: str | None = None
    appendixes: tuple[str, ...] | None = None
    response_for: tuple[ResponseForKeys, ...] = ()
    steering_type: Annotated[int, Field(ge=0, le=3)] = 0
    response_for_task: tuple[str, ...] | None = None
    application_type: str | None = None
    business: BusinessKeys = BusinessKeys()
    secrecy: str | None = None

    @property
    def organs(self) -> tuple[OrganKeys, ...]:
        """The agencies that `to` names one by one."""
        written: tuple[object, ...] = self.to
        return tuple(one for one in written if isinstance(one, OrganKeys))

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """What else stands in `to`, each once."""
        written: tuple[object, ...] = self.to
        return tuple(dict.fromkeys(one for one in written if isinstance(one, Selector)))

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The keys of the outermost table, as people write them."""
        return tuple("from" if name == "from_" else name for name in cls.model_fields)

    @model_validator(mode="after")
    def _names_what_it_speaks_of(self) -> Self:
        """A recall, an update and a replacement each say which document they are about (edxml.md, code lists)."""
        business = self.business
        if business.type == BusinessType.RECALL and not self.response_for:
            raise ValueError("a recall names the document taken back under `response_for`")
        if business.type == BusinessType.UPDATE and not business.document_id:
            raise ValueError("an update names the document under `business.document_id`")
        if business.type == BusinessType.REPLACE and not business.replacements:
            raise ValueError("a replacement names the documents replaced under `business.replacements`")
        return self
