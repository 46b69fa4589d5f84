"""The messages that the kit delivers: every kind that a node hands over, each under a key of its own.

They are made from their numbers alone, so that a process started after a kill makes the same ones again. What a
hub's and a node's checks keep out (two recipients alike, a code that is none) is not among them; what a sender may
write is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from adapters.kit.contents import Content
from adapters.kit.names import hostile_names, unwritable_names
from adapters.sdk import Delivery, DeliveryKey, IncomingAttachment
from schemas.codes import AgencyCode
from schemas.envelope import (
    CONTENT_ID_PREFIX,
    AttachmentSize,
    Envelope,
    Extension,
    Selector,
    SelectorKind,
    Sha256Hex,
)
from schemas.errors import Rejected
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
from schemas.times import DateText, TimestampText
from schemas.travel_writer import write_envelope

#: The agency whose software the adapter serves, a unit below it, and whoever writes to them.
OWN: Final = AgencyCode("H23")
OWN_UNIT: Final = AgencyCode("H23.12")
PEER: Final = AgencyCode("G22")
NAMES: Final = {OWN: "UBND tỉnh Hải Dương", OWN_UNIT: "Sở Nội vụ", PEER: "Văn phòng Chính phủ"}

#: When all of it happens.
NOW: Final = datetime(2026, 11, 20, 1, 30, tzinfo=UTC)

#: The memory check's attachment: far more than an adapter may keep of it.
HUGE: Final = 256 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """An attachment of the kit: the name that its sender gave it, and its bytes."""

    name: str
    content: Content
    content_type: str = "application/pdf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One delivery, what it is in words, and the bytes of its attachments; `number` is its place in the repertoire."""

    title: str
    number: int
    delivery: Delivery
    attached: tuple[Attached, ...] = ()

    @property
    def contents(self) -> Mapping[Sha256Hex, Content]:
        return {one.content.digest: one.content for one in self.attached}

    @property
    def key(self) -> str:
        return str(self.delivery.key)


@dataclass(slots=True)
class Repertoire:
    """Makes the cases. `folder` is one that no attachment's name may reach; `huge` is in bytes.

    Each case gets the number after `number`, and is made from that alone.
    """

    folder: Path
    huge: int = HUGE
    number: int = 0

    def document(self, title: str = "a document", *attached: Attached, **changes: object) -> Case:
        """A new document with `attached`; `changes` are fields of `schemas.message.Document`."""
        self.number += 1
        return _case(title, self.number, _document(self.number, attached, **changes), attached)

    def ordinary(self) -> Case:
        """A document as most are: two attachments, a few kilobytes."""
        number = self.number + 1
        return self.document(
            "a document with two attachments",
            Attached(name="công văn.pdf", content=Content.of(b"%PDF-1.4 " + str(number).encode() + bytes(5000))),
            Attached(name="bảng số liệu.csv", content=Content.of("tỉnh,số\n".encode()), content_type="text/csv"),
        )

    def empty(self) -> Case:
        return self.document(
            "a document with an empty attachment and one with bytes",
            Attached(name="trống.txt", content=Content.of(b""), content_type="text/plain"),
            Attached(name="thư.pdf", content=Content.of(b"%PDF-1.4")),
        )

    def enormous(self) -> Case:
        return self.document(
            f"a document with an attachment of {self.huge:,} bytes",
            Attached(name="bản đồ.tif", content=Content(b"\0\1\2\3\4\5\6\7", self.huge), content_type="image/tiff"),
        )

    def hostile(self) -> Case:
        return self.document(
            "a document whose attachments have hostile names",
            *(
                Attached(name=name, content=Content.of(b"attachment %d" % place))
                for place, name in enumerate(hostile_names(self.folder))
            ),
        )

    def unwritable(self) -> Case:
        return self.document(
            "a document whose attachments have NUL and control characters in their names",
            *(
                Attached(name=name, content=Content.of(b"attachment %d" % place))
                for place, name in enumerate(unwritable_names())
            ),
        )

    def for_unit(self, case: Case) -> Case:
        """The message of `case` once more, for a unit below: another hand-over, by another key."""
        delivery = replace(case.delivery, key=DeliveryKey(case.delivery.key.message_id, OWN_UNIT))
        return replace(case, title=f"{case.title}, for {OWN_UNIT}", delivery=delivery)

    def every_kind(self) -> Iterator[Case]:
        """One of each kind of message, those that speak of others after what they speak of."""
        first = self.ordinary()
        yield first
        yield self.for_unit(first)
        yield self.document("a document without attachments")
        yield self.document("an express document", other_info=OtherInfo(priority=Priority.EXPRESS))
        yield self.document("a document whose every optional field is filled", **_FULL)
        yield self.document("a document that names its recipients by a rule alone", recipients=())
        yield self.document("an answer to a document", response_for=(_about_document(first),))
        yield self._successor("a recall", BusinessType.RECALL, first)
        yield self._successor("an update", BusinessType.UPDATE, first, document_info=_UPDATED)
        yield self._successor("a replacement", BusinessType.REPLACE, first)
        lost = self._successor("a recall of a document that never came", BusinessType.RECALL, first)
        yield replace(lost, delivery=replace(lost.delivery, about=("0" * 64,), missing=("0" * 64,)))
        for code in StatusCode:
            yield self.status(code, first)
        yield replace(
            self.status(StatusCode.PROCESSING, first, description=None), title="a status without a description"
        )

    def status(self, code: StatusCode, about: Case, *, description: str | None = "Đã chuyển phòng chuyên môn") -> Case:
        """The status `code` of the document of `about`."""
        self.number += 1
        message = StatusMessage(
            sender=Organ(organ_id=PEER, organ_name=NAMES[PEER]),
            response_for=_about_document(about),
            staff=StaffInfo(department="Văn thư", staff="Nguyễn Văn Mẫu", email="vt@example.gov.vn", mobile="09"),
            status_code=code,
            description=description,
            timestamp=TimestampText(f"2026/11/20 08:{self.number // 60 % 60:02}:{self.number % 60:02}"),
        )
        case = _case(f"the status {code}", self.number, message, ())
        return replace(case, delivery=replace(case.delivery, about=(about.delivery.key.message_id,)))

    def _successor(self, title: str, kind: BusinessType, of: Case, **more: object) -> Case:
        predecessor = of.delivery.message
        assert isinstance(predecessor, Document)  # noqa: S101 - the kit's own, made above
        replaced = ReplacementInfo(document_id=predecessor.document_id, organ_ids=(OWN,))
        business = Business(
            document_id=predecessor.document_id,
            type=kind,
            reason="Văn bản ban hành nhầm",
            paper=False,
            replacements=(replaced,) if kind is BusinessType.REPLACE else None,
            **more,  # type: ignore[arg-type]  # fields of Business, by the names that its callers above give
        )
        case = self.document(title, business=business)
        return replace(case, delivery=replace(case.delivery, about=(of.delivery.key.message_id,)))


_UPDATED = BusinessDocumentInfo(
    document_info=True,
    document_receiver=True,
    receivers=(Receiver(organ_id=OWN, receiver_type=ReceiverType.ADDED),),
)

_FULL: Mapping[str, object] = {
    "due_date": DateText("2026/12/01"),
    "to_places": ("Như trên", "Lưu: VT"),
    "other_info": OtherInfo(
        priority=Priority.VERY_URGENT,
        sphere_of_promulgation="Hành chính",
        typer_notation="VT",
        promulgation_amount=10,
        page_amount=2,
        direction="true",
        appendixes=("Phụ lục I",),
    ),
    "steering_type": 1,
    "response_for_task": ("NV-1",),
    "application_type": "QLVB",
    "subject": "Trích yếu <b>&amp; 'đậm'</b> ]]> " + "dài " * 200,
}


def _about_document(case: Case) -> ResponseFor:
    message = case.delivery.message
    if not isinstance(message, Document):
        return message.response_for
    return ResponseFor(
        organ_id=message.sender.organ_id,
        code=f"{message.code.number}/{message.code.notation}",
        promulgation_date=message.promulgation.date,
        document_id=message.document_id,
    )


def _document(number: int, attached: Sequence[Attached], **changes: object) -> Document:
    document = Document(
        sender=Organ(organ_id=PEER, organ_name=NAMES[PEER]),
        recipients=(Organ(organ_id=OWN, organ_name=NAMES[OWN]),),
        document_id=f"{PEER},2026/11/20,{number}/VPCP-KSTT",
        code=DocumentCode(number=str(number), notation="VPCP-KSTT"),
        promulgation=PromulgationInfo(place="Hà Nội", date=DateText("2026/11/20")),
        document_type=DocumentType(type=2, type_detail=18, type_name="Công văn"),
        subject=f"V/v gửi, nhận văn bản điện tử ({number})",
        content="Đề nghị báo cáo kết quả",
        signer=SignerInfo(competence="KT. BỘ TRƯỞNG", position="Phó Chủ nhiệm", full_name="Nguyễn Thị Lan"),
        trace=(TraceHeader(organ_id=PEER, timestamp=TimestampText("2026/11/20 08:30:00")),),
        references=tuple(
            Reference(
                content_id=CONTENT_ID_PREFIX + one.content.digest,
                content_type=one.content_type,
                attachment_name=one.name,
                description=one.name,
            )
            for one in attached
        ),
    )
    return replace(document, **changes)  # type: ignore[arg-type]  # fields of Document, by the names that callers give


def _case(title: str, number: int, message: Message, attached: Sequence[Attached]) -> Case:
    sealed = _written(message, attached)
    delivery = Delivery(
        key=DeliveryKey(hashlib.sha256(sealed).hexdigest(), OWN),
        message=message,
        about=(),
        attachments=tuple(
            IncomingAttachment(
                name=one.name,
                content_type=one.content_type,
                description=one.name,
                digest=one.content.digest,
                size=one.content.size,
            )
            for one in attached
        ),
        sealed=sealed,
        signer="CN=Seal of the test kit",
        signed_at=NOW,
        accepted_at=NOW,
        received_at=NOW,
    )
    return Case(title=title, number=number, delivery=delivery, attached=tuple(attached))


def _written(message: Message, attached: Sequence[Attached]) -> bytes:
    """The travelling form, unsigned: an adapter carries it and does not read it."""
    sizes = {one.content.digest: one.content.size for one in attached}
    selectors: tuple[Selector, ...] = ()
    if isinstance(message, Document) and not message.recipients:
        selectors = (Selector(SelectorKind.PREFIX, OWN.value),)
    extension = Extension(
        submission_id="kit",
        selectors=selectors,
        attachment_sizes=tuple(AttachmentSize(digest, size) for digest, size in sizes.items()),
    )
    try:
        return write_envelope(Envelope(message, extension))
    except Rejected:
        # Names that XML cannot carry: the sealed bytes then spell them out.
        assert isinstance(message, Document)  # noqa: S101 - a status carries no name
        spelt = tuple(
            replace(one, attachment_name=ascii(one.attachment_name), description=ascii(one.description))
            for one in message.references
        )
        return write_envelope(Envelope(replace(message, references=spelt), extension))
