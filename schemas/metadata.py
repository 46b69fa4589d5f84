"""A document from the few facts a person writes: the keys of `meta.toml`, of `node send` and of `envelope pack`.

    subject = "V/v báo cáo kết quả gửi, nhận văn bản điện tử"
    code = "6101/VPCP-KSTT"
    place = "Hà Nội"
    date = 2026-11-20                       # the day of promulgation; today where it is absent
    to = ["H23", "000.00.00.H31"]           # or tables: { organ_id = "H23", organ_name = "UBND tỉnh Hải Dương" };
                                            # "H31.*" is H31 and every agency below it, "@so-tu-phap" a group
    priority = "hỏa tốc"                    # or 0 to 4
    due_date = 2026-12-01
    expires_at = 2026-12-02T17:00:00+07:00   # or "3d" from the sending on: it is delivered no more after that

    [document_type]
    type_name = "Công văn"

    [signer]
    full_name = "Nguyễn Thị Lan"
    position = "Phó Chủ nhiệm"

    [business]                              # only for a recall, an update or a replacement
    type = "replace"
    reason = "Thay thế văn bản ban hành nhầm"
    replacements = [{ document_id = "G22,2026/11/02,5900/VPCP-KSTT", organ_ids = ["H23"] }]

The keys are the names of edXML in snake case; the file may as well be JSON.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from schemas.codes import AgencyCode
from schemas.envelope import CONTENT_ID_PREFIX, Selector, Sha256Hex
from schemas.errors import Rejected
from schemas.message import (
    Business,
    BusinessDocumentInfo,
    BusinessType,
    Document,
    DocumentCode,
    DocumentType,
    Organ,
    OtherInfo,
    PromulgationInfo,
    Receiver,
    Reference,
    ReplacementInfo,
    ResponseFor,
    SignerInfo,
    StaffInfo,
    TraceHeader,
)
from schemas.metadata_keys import BusinessKeys, MetadataKeys, OrganKeys
from schemas.peer_limits import beyond_peer_limits
from schemas.times import VIETNAM, DateText, TimestampText

_REASONS = {
    BusinessType.NEW: "Văn bản điện tử mới",
    BusinessType.RECALL: "Thu hồi văn bản điện tử",
    BusinessType.UPDATE: "Cập nhật văn bản điện tử",
    BusinessType.REPLACE: "Thay thế văn bản điện tử",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentFacts:
    """What a document says of one attachment. `digest` is the SHA-256 of its bytes in hex, `size` their number."""

    name: str
    digest: Sha256Hex
    size: int
    content_type: str
    description: str = ""


def document_from_metadata(
    metadata: Mapping[str, object],
    *,
    sender: Organ,
    recipients: Sequence[AgencyCode],
    now: datetime,
    attachments: Sequence[AttachmentFacts],
) -> Document:
    """The document that `metadata` describes, as `sender` sends it at the aware instant `now`.

    `recipients` replaces the agencies under the key `to` unless it is empty; a table under `to` still gives a recipient
    its name. The document can come out without a recipient (selectors may name them): whoever sends it checks that.
    Where `metadata` is silent: `content` is the subject, `date` the day of `now` in Vietnam, `document_id`
    `sender,date,number/notation`, `business` a new document.

    Raises:
        Rejected: `metadata-invalid`, naming each wrong key and the form it needs; `sender-mismatch`, where the key
            `from` names another agency than `sender`; `recipient-repeated`; `text-beyond-peers`, for texts that peers
            would cut; `state-secret`, for a document marked with a secrecy level.
    """
    keys = _validated(metadata)
    if keys.secrecy:
        raise Rejected(
            "state-secret",
            f"The metadata marks the document as a state secret ({keys.secrecy!r}).",
            element="secrecy",
            mend="A state secret never travels here: use the channel that the law on state secrets names.",
        )
    if keys.from_ is not None and keys.from_.organ_id != sender.organ_id:
        raise Rejected(
            "sender-mismatch",
            f"The metadata is from {keys.from_.organ_id.value}, and {sender.organ_id.value} is sending it.",
            element="from",
            mend="Leave `from` out, or send as the agency that it names.",
        )
    date = keys.date or DateText.of(now.astimezone(VIETNAM).date())
    origin = _organ(keys.from_) if keys.from_ is not None else sender
    document = Document(
        sender=origin,
        recipients=_recipients(keys.organs, recipients),
        document_id=keys.document_id or f"{sender.organ_id.value},{date.text},{keys.code.number}/{keys.code.notation}",
        code=DocumentCode(number=keys.code.number, notation=keys.code.notation),
        promulgation=PromulgationInfo(place=keys.place, date=date),
        document_type=DocumentType(
            type=keys.document_type.type,
            type_detail=keys.document_type.detail,
            type_name=keys.document_type.type_name,
        ),
        subject=keys.subject,
        content=keys.content if keys.content is not None else keys.subject,
        signer=SignerInfo(**keys.signer.model_dump()),
        due_date=keys.due_date,
        to_places=keys.to_places,
        other_info=OtherInfo(
            priority=keys.priority,
            sphere_of_promulgation=keys.sphere_of_promulgation,
            typer_notation=keys.typer_notation,
            promulgation_amount=keys.promulgation_amount,
            page_amount=keys.page_amount,
            direction=keys.direction,
            appendixes=keys.appendixes,
        ),
        response_for=tuple(
            ResponseFor(
                organ_id=answered.organ_id,
                code=answered.code,
                promulgation_date=answered.promulgation_date,
                document_id=answered.document_id,
            )
            for answered in keys.response_for
        ),
        steering_type=keys.steering_type,
        response_for_task=keys.response_for_task,
        application_type=keys.application_type,
        trace=(TraceHeader(organ_id=sender.organ_id, timestamp=TimestampText.of(now)),),
        business=_business(keys.business),
        references=tuple(
            Reference(
                content_id=CONTENT_ID_PREFIX + facts.digest,
                content_type=facts.content_type,
                attachment_name=facts.name,
                description=facts.description or facts.name,
            )
            for facts in attachments
        ),
    )
    _refuse_long_texts(document)
    return document


def sender_from_metadata(metadata: Mapping[str, object]) -> Organ | None:
    """The agency under the key `from` (a code, or a table with `organ_id`), None where there is none.

    Raises:
        Rejected: `metadata-invalid`.
    """
    keys = _validated(metadata)
    return _organ(keys.from_) if keys.from_ is not None else None


def selectors_from_metadata(metadata: Mapping[str, object]) -> tuple[Selector, ...]:
    """The prefixes and groups under the key `to`, each once.

    Raises:
        Rejected: `metadata-invalid`.
    """
    return _validated(metadata).selectors


def expiry_from_metadata(metadata: Mapping[str, object], now: datetime) -> datetime | None:
    """The instant (UTC) that the key `expires_at` means for a document sent at the aware instant `now`, if it is there.

    Raises:
        Rejected: `metadata-invalid`.
    """
    expiry = _validated(metadata).expires_at
    return now.astimezone(UTC) + expiry if isinstance(expiry, timedelta) else expiry


def _organ(keys: OrganKeys) -> Organ:
    return Organ(**dict(keys))


def _recipients(to: Sequence[OrganKeys], replaced_by: Sequence[AgencyCode]) -> tuple[Organ, ...]:
    named = {keys.organ_id: _organ(keys) for keys in to}
    codes = tuple(replaced_by) or tuple(keys.organ_id for keys in to)
    seen: set[AgencyCode] = set()
    for code in codes:
        if code in seen:
            raise Rejected(
                "recipient-repeated",
                f"The recipient {code.value} is named twice.",
                element="to",
                mend="Name each recipient once.",
            )
        seen.add(code)
    return tuple(named.get(code) or Organ(organ_id=code) for code in codes)


def _business(keys: BusinessKeys) -> Business:
    info = keys.document_info
    return Business(
        document_id=keys.document_id,
        type=keys.type,
        reason=keys.reason or _REASONS[keys.type],
        paper=keys.paper,
        staff=StaffInfo(**keys.staff.model_dump()) if keys.staff else None,
        document_info=BusinessDocumentInfo(
            document_info=info.document_info,
            document_receiver=info.document_receiver,
            receivers=tuple(Receiver(organ_id=r.organ_id, receiver_type=r.receiver_type) for r in info.receivers),
        )
        if info
        else None,
        replacements=tuple(ReplacementInfo(document_id=r.document_id, organ_ids=r.organ_ids) for r in keys.replacements)
        if keys.replacements is not None
        else None,
    )


def _validated(metadata: Mapping[str, object]) -> MetadataKeys:
    try:
        return MetadataKeys.model_validate(dict(metadata))
    except ValidationError as error:
        sentences = [_sentence(details["type"], details["loc"], details["msg"]) for details in error.errors()]
        raise Rejected(
            "metadata-invalid",
            "The metadata cannot be used: " + "; ".join(sentences) + ".",
            element=_key(error.errors()[0]["loc"]),
            mend="Correct the keys named here.",
        ) from error


def _sentence(kind: str, location: tuple[int | str, ...], message: str) -> str:
    key = _key(location)
    if kind == "missing":
        return f"`{key}` is missing"
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(str(location[-1]), MetadataKeys.names(), n=1)
        return f"`{key}` is no key of metadata" + (f" (did you mean `{close[0]}`?)" if close else "")
    said = message.removeprefix("Value error, ")
    return f"`{key}`: {said[:1].lower()}{said[1:]}" if key else said


def _key(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)


def _refuse_long_texts(document: Document) -> None:
    long = beyond_peer_limits(document)
    if long:
        raise Rejected(
            "text-beyond-peers",
            " ".join(finding.message for finding in long),
            element=long[0].element,
            mend="Shorten the text.",
        )
