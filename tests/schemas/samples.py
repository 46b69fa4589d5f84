"""A document, a status and their envelopes, small and complete, for tests that change one thing in them."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas.codes import AgencyCode
from schemas.envelope import (
    CONTENT_ID_PREFIX,
    AttachmentSize,
    Envelope,
    Extension,
    Override,
    SecrecyLevel,
    Selector,
    SelectorKind,
)
from schemas.message import (
    Business,
    BusinessDocumentInfo,
    BusinessType,
    Document,
    DocumentCode,
    DocumentType,
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

DIGEST = "3a" * 32
OTHER_DIGEST = "7f" * 32


def organ(code: str, name: str | None = None) -> Organ:
    return Organ(organ_id=AgencyCode(code), organ_name=name)


def reference(digest: str, name: str) -> Reference:
    return Reference(
        content_id=CONTENT_ID_PREFIX + digest, content_type="application/pdf", attachment_name=name, description=name
    )


DOCUMENT = Document(
    sender=organ("G22", "Văn phòng Chính phủ"),
    recipients=(organ("H23", "UBND tỉnh Hải Dương"), organ("000.00.00.H31", "UBND tỉnh Hưng Yên")),
    document_id="G22,2026/11/02,6111/VPCP-KSTT",
    code=DocumentCode(number="6111", notation="VPCP-KSTT"),
    promulgation=PromulgationInfo(place="Hà Nội", date=DateText("2026/11/02")),
    document_type=DocumentType(type=2, type_detail=18, type_name="Công văn"),
    subject="V/v gửi, nhận văn bản điện tử",
    content="Đề nghị báo cáo kết quả",
    signer=SignerInfo(full_name="Người Ký Mẫu"),
    trace=(TraceHeader(organ_id=AgencyCode("G22"), timestamp=TimestampText("2026/11/02 15:30:39")),),
    references=(reference(DIGEST, "6111.pdf"),),
)

STATUS = StatusMessage(
    sender=organ("H23"),
    response_for=ResponseFor(organ_id=AgencyCode("G22"), document_id=DOCUMENT.document_id),
    status_code=StatusCode.ARRIVED,
    timestamp=TimestampText("2026/11/02 15:31:00"),
)

DOCUMENT_ENVELOPE = Envelope(DOCUMENT, Extension(submission_id="s-1", attachment_sizes=(AttachmentSize(DIGEST, 7),)))
STATUS_ENVELOPE = Envelope(STATUS, Extension(submission_id="s-2", about=(OTHER_DIGEST,)))

FULL_ORGAN = Organ(
    organ_id=AgencyCode("H23.12"),
    organization_in_charge="UBND tỉnh Hải Dương",
    organ_name="Sở Nội vụ",
    organ_add="Hải Dương",
    email="snv@example.gov.vn",
    telephone="0220 000 000",
    fax="0220 000 001",
    website="snv.example.gov.vn",
)

#: Every optional element is there.
FULL_ENVELOPE = Envelope(
    Document(
        sender=FULL_ORGAN,
        recipients=(organ("G09", "Bộ Nội vụ"), organ("000.00.09.H53")),
        document_id="f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        code=DocumentCode(number="12a", notation="BC-SNV"),
        promulgation=PromulgationInfo(place="Hải Dương", date=DateText("2026/11/03")),
        document_type=DocumentType(type=2, type_detail=18, type_name="Công văn"),
        subject="Báo cáo",
        content="Báo cáo kết quả",
        signer=SignerInfo(competence="KT. GIÁM ĐỐC", position="Phó Giám đốc", full_name="Người Ký Mẫu"),
        due_date=DateText("2026/11/20"),
        to_places=("Như trên", "Lưu: VT"),
        other_info=OtherInfo(
            priority=Priority.EXPRESS_APPOINTED,
            sphere_of_promulgation="Hành chính",
            typer_notation="VT",
            promulgation_amount=10,
            page_amount=2,
            direction="true",
            appendixes=("Phụ lục I", "Phụ lục II"),
        ),
        response_for=(
            ResponseFor(
                organ_id=AgencyCode("G09"),
                code="55/BNV",
                promulgation_date=DateText("2026/10/01"),
                document_id="G09,2026/10/01,55/BNV",
            ),
            ResponseFor(),
        ),
        steering_type=3,
        response_for_task=("NV-1", "NV-2"),
        application_type="QLVB",
        trace=(
            TraceHeader(organ_id=AgencyCode("H23.12"), timestamp=TimestampText("2026/11/03 08:00:00")),
            TraceHeader(organ_id=None, timestamp=TimestampText("2026/11/03 08:00:05")),
        ),
        business=Business(
            document_id="H23.12,2026/10/30,11/BC-SNV",
            type=BusinessType.UPDATE,
            reason="Cập nhật",
            paper=True,
            staff=StaffInfo(department="Văn thư", staff="Nguyễn Văn Mẫu", email="vt@example.gov.vn", mobile="09"),
            document_info=BusinessDocumentInfo(
                document_info=True,
                document_receiver=True,
                receivers=(
                    Receiver(organ_id=AgencyCode("G09"), receiver_type=ReceiverType.ADDED),
                    Receiver(organ_id=AgencyCode("H31"), receiver_type=ReceiverType.REMOVED),
                ),
            ),
            replacements=(
                ReplacementInfo(document_id="H23.12,2026/10/01,1/BC", organ_ids=(AgencyCode("G09"), AgencyCode("H31"))),
                ReplacementInfo(document_id="H23.12,2026/10/01,2/BC"),
            ),
        ),
        references=(reference(DIGEST, "a.pdf"), reference(DIGEST, "b.pdf"), reference(OTHER_DIGEST, "c.csv")),
    ),
    Extension(
        submission_id="s-3",
        about=(DIGEST, OTHER_DIGEST),
        selectors=(Selector(SelectorKind.PREFIX, "H23"), Selector(SelectorKind.GROUP, "Các bộ")),
        secrecy=SecrecyLevel.SECRET,
        override=Override("Trần Văn B, Chánh Văn phòng", "Đã giải mật <1/2026> & công bố"),
        expires_at=datetime(2026, 12, 1, 8, 30, tzinfo=UTC),
        attachment_sizes=(AttachmentSize(DIGEST, 0), AttachmentSize(OTHER_DIGEST, 2**40)),
    ),
)
