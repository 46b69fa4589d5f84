"""What a document of ours says now: as it was sent, with the updates of its content since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from node.store import business
from node.store.metadata import Transaction
from node.usecases.retention import sealed_bytes
from schemas.envelope import AttachmentSize, Envelope, Sha256Hex
from schemas.errors import Rejected
from schemas.message import Business, BusinessType, Document, ResponseFor
from schemas.travel import parse_envelope, read_envelope

#: Subjects that peers store.
_SUBJECT = 500


@dataclass(frozen=True, slots=True)
class Content:
    """A document as it stands; `sizes` are those of the attachments in its manifest, which `source` brought."""

    document: Document
    sizes: tuple[AttachmentSize, ...]
    source: Sha256Hex


def current_content(transaction: Transaction, message_id: Sha256Hex) -> Content:
    """The document `message_id` of ours as its updates and copies left it; its recipients are those of the first day.

    An update that brings no file leaves those that there are. Raises Rejected: `not-a-document`, `message-unknown`,
    `payload-purged`.
    """
    envelope = _envelope(transaction, message_id)
    original = envelope.message
    if not isinstance(original, Document):
        raise Rejected("not-a-document", f"{message_id} is a status message.", mend="Name the document.")
    content = Content(original, envelope.extension.attachment_sizes, message_id)
    for update_id in business.restatements_of(transaction, message_id):
        update = _envelope(transaction, update_id)
        if isinstance(update.message, Document) and changes_content(update.message):
            said = as_document(update.message, original)
            if said.references:
                content = Content(said, update.extension.attachment_sizes, update_id)
            else:
                content = replace(content, document=replace(said, references=content.document.references))
    return content


def changes_content(update: Document) -> bool:
    """Whether an update says that the document itself is another, and not only its receivers."""
    info = update.business.document_info if update.business else None
    return info is None or info.document_info


def as_document(successor: Document, original: Document) -> Document:
    """What an update or a replacement of `original` says, as a document that somebody gets for the first time."""
    is_update = successor.business_type is BusinessType.UPDATE
    return replace(
        successor,
        document_id=original.document_id if is_update else successor.document_id,
        response_for=original.response_for if is_update else successor.response_for,
        business=None,
        trace=(),
    )


def recall_of(original: Document, *, document_id: str, reason: str) -> Document:
    """A recall of `original` from its recipients, who are to be set."""
    code = f"{original.code.number}/{original.code.notation}"
    return replace(
        original,
        document_id=document_id,
        subject=f"Thu hồi văn bản {code}: {original.subject}"[:_SUBJECT],
        content=reason,
        due_date=None,
        response_for=(
            ResponseFor(
                organ_id=original.sender.organ_id,
                code=code,
                promulgation_date=original.promulgation.date,
                document_id=original.document_id,
            ),
        ),
        trace=(),
        business=Business(type=BusinessType.RECALL, reason=reason, paper=False),
        references=(),
    )


def metadata_of(document: Document) -> Mapping[str, object]:
    """What a document says, under the keys of document metadata: a successor of it says the same but for some."""
    signer, other = document.signer, document.other_info
    said: dict[str, object] = {
        "code": {"number": document.code.number, "notation": document.code.notation},
        "place": document.promulgation.place,
        "date": document.promulgation.date.text,
        "document_type": {
            "type": document.document_type.type,
            "type_detail": document.document_type.type_detail,
            "type_name": document.document_type.type_name,
        },
        "subject": document.subject,
        "content": document.content,
        "signer": {"competence": signer.competence, "position": signer.position, "full_name": signer.full_name},
        "due_date": document.due_date.text if document.due_date else None,
        "to_places": document.to_places,
        "priority": int(other.priority),
        "sphere_of_promulgation": other.sphere_of_promulgation,
        "typer_notation": other.typer_notation,
        "promulgation_amount": other.promulgation_amount,
        "page_amount": other.page_amount,
        "direction": other.direction,
        "appendixes": other.appendixes,
        "steering_type": document.steering_type,
        "response_for_task": document.response_for_task,
        "application_type": document.application_type,
    }
    return {name: value for name, value in said.items() if value is not None}


def _envelope(transaction: Transaction, message_id: Sha256Hex) -> Envelope:
    return read_envelope(parse_envelope(sealed_bytes(transaction, message_id)))
