"""What messages are: content, bytes, attachments; written once, by whoever comes to know the message first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Row, bindparam, insert, select, update

from node.store.business_tables import companions
from node.store.message_tables import about, attachments, envelopes, handovers, messages, outbox, small_blobs
from node.store.metadata import Transaction
from node.store.records import AttachmentRow, MessageFacts
from node.store.states import MessageKind
from runtime.columns import Upsert
from runtime.prepared import Prepared
from schemas.codes import AgencyCode
from schemas.envelope import CONTENT_ID_PREFIX, Envelope, Sha256Hex
from schemas.message import BusinessType, Document, DocumentCode, Priority, StatusCode

#: Some writers give a recall or an update the DocumentId of what it speaks of: that id means the document itself.
_IS_REQUEST = messages.c.business.in_((BusinessType.RECALL, BusinessType.UPDATE))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedMessage:
    """A message as it enters the record. `sender` is today's code of the agency in From; `data` the sealed bytes."""

    message_id: Sha256Hex
    envelope: Envelope
    data: bytes
    sender: AgencyCode
    lane: int


# What each message needs is built once: to build a statement costs four times what it costs to run it.
_ADD = Prepared(
    Upsert(
        messages,
        lambda adding: adding.on_conflict_do_nothing(index_elements=[messages.c.message_id]).returning(
            messages.c.sequence
        ),
    )
)
_ADD_ENVELOPE = Prepared(insert(envelopes))
_ADD_ABOUT = Prepared(insert(about))
_ADD_ATTACHMENT = Prepared(insert(attachments))
_ADD_SMALL_BLOB = Prepared(Upsert(small_blobs, lambda adding: adding.on_conflict_do_nothing()))
_SMALL_BLOB = Prepared(select(small_blobs.c.content).where(small_blobs.c.digest == bindparam("of_digest")))
_SEALED = Prepared(select(envelopes.c.sealed).where(envelopes.c.message_id == bindparam("of_message")))
_ATTACHMENTS = Prepared(
    select(attachments).where(attachments.c.message_id == bindparam("of_message")).order_by(attachments.c.position)
)
_ABOUT = Prepared(select(about.c.about).where(about.c.message_id == bindparam("of_message")).order_by(about.c.position))
_LANES = select(messages.c.lane).where(messages.c.message_id.in_(bindparam("of_messages", expanding=True)))
_RESTORED = Prepared(
    update(messages)
    .where(messages.c.message_id == bindparam("of_message"), messages.c.purged_at.is_not(None))
    .values(purged_at=None)
)


def add(transaction: Transaction, message: RecordedMessage) -> int:
    """Record `message` if it is new; gives its number in the record either way."""
    sequence: int | None = _ADD.scalar(transaction, _values(message))
    if sequence is None:
        known: int = transaction.execute(
            select(messages.c.sequence).where(messages.c.message_id == message.message_id)
        ).scalar_one()
        return known
    _ADD_ENVELOPE.run(transaction, {"message_id": message.message_id, "sealed": message.data})
    for position, digest in enumerate(dict.fromkeys(message.envelope.extension.about)):
        _ADD_ABOUT.run(
            transaction,
            {"message_id": message.message_id, "about": digest, "position": position, "sender": message.sender},
        )
    _ADD_ATTACHMENT.run_each(transaction, _attachment_values(message))
    return sequence


def restore_payload(transaction: Transaction, message: RecordedMessage) -> None:
    """If the payload was dropped, the message has come anew, for another agency: keep its bytes again."""
    if _RESTORED.run(transaction, {"of_message": message.message_id}):
        transaction.execute(insert(envelopes), {"message_id": message.message_id, "sealed": message.data})
        transaction.execute(
            update(attachments).where(attachments.c.message_id == message.message_id).values(purged_at=None)
        )


def _values(message: RecordedMessage) -> dict[str, object]:
    content = message.envelope.message
    values: dict[str, object] = {
        "message_id": message.message_id,
        "sender": message.sender,
        "sender_name": content.sender.organ_name,
        "priority": message.envelope.priority,
        "lane": message.lane,
        "sealed_bytes": len(message.data),
    }
    if isinstance(content, Document):
        return values | {
            "kind": MessageKind.DOCUMENT,
            "document_id": document_id_of(message.envelope),
            "subject": content.subject,
            "business": content.business_type,
            "due_date": content.due_date.text if content.due_date else None,
            "number": content.code.number,
            "notation": content.code.notation,
            "document_type": content.document_type.type_name,
        }
    return values | {
        "kind": MessageKind.STATUS,
        "document_id": document_id_of(message.envelope),
        "status": content.status_code,
        "description": content.description,
    }


def document_id_of(envelope: Envelope) -> str | None:
    """The DocumentId under which `envelope` is found: of a status, that of its document."""
    content = envelope.message
    return content.document_id if isinstance(content, Document) else content.response_for.document_id


def _attachment_values(message: RecordedMessage) -> list[dict[str, object]]:
    return [
        {
            "message_id": message.message_id,
            "position": position,
            "digest": row.digest,
            "size": row.size,
            "name": row.name,
            "content_type": row.content_type,
            "description": row.description,
        }
        for position, row in enumerate(attachment_rows(message.envelope))
    ]


def attachment_rows(envelope: Envelope) -> tuple[AttachmentRow, ...]:
    """The attachments that `envelope` names, in the order of the manifest."""
    content = envelope.message
    if not isinstance(content, Document):
        return ()
    sizes = {size.digest: size.size for size in envelope.extension.attachment_sizes}
    return tuple(
        AttachmentRow(
            name=reference.attachment_name,
            content_type=reference.content_type,
            description=reference.description,
            digest=(digest := reference.content_id.removeprefix(CONTENT_ID_PREFIX)),
            size=sizes[digest],
        )
        for reference in content.references
    )


def add_small_blobs(transaction: Transaction, contents: Mapping[Sha256Hex, bytes]) -> None:
    """Keep the bytes of short attachments, each content once."""
    _ADD_SMALL_BLOB.run_each(
        transaction, [{"digest": digest, "content": content} for digest, content in contents.items()]
    )


def small_blob(transaction: Transaction, digest: Sha256Hex) -> bytes | None:
    return _SMALL_BLOB.scalar(transaction, {"of_digest": digest})


def named_files(transaction: Transaction) -> Iterator[Sha256Hex]:
    """Every attachment that is a file and that a message with a payload names, in the order of digests."""
    short = select(small_blobs.c.digest).where(small_blobs.c.digest == attachments.c.digest).exists()
    named = select(attachments.c.digest).where(attachments.c.purged_at.is_(None), ~short).distinct()
    yield from transaction.scalars(named.order_by(attachments.c.digest), execution_options={"yield_per": 1000})


def sealed(transaction: Transaction, message_id: Sha256Hex) -> bytes | None:
    """The envelope as it was signed; None if the message is not known."""
    return _SEALED.scalar(transaction, {"of_message": message_id})


def attachments_of(transaction: Transaction, message_id: Sha256Hex) -> tuple[AttachmentRow, ...]:
    """In the order of the manifest."""
    rows = _ATTACHMENTS.all(transaction, {"of_message": message_id})
    return tuple(
        AttachmentRow(
            name=row.name, content_type=row.content_type, description=row.description, digest=row.digest, size=row.size
        )
        for row in rows
    )


def about_of(transaction: Transaction, message_id: Sha256Hex) -> tuple[Sha256Hex, ...]:
    """The messages that `message_id` speaks of."""
    return tuple(_ABOUT.scalars(transaction, {"of_message": message_id}))


def facts(transaction: Transaction, message_id: Sha256Hex) -> MessageFacts | None:
    row = transaction.execute(select(messages).where(messages.c.message_id == message_id)).one_or_none()
    return None if row is None else facts_of(row, about_of(transaction, message_id))


def facts_of(row: Row[tuple[object, ...]], spoken_of: tuple[Sha256Hex, ...]) -> MessageFacts:
    """The facts in a row of `messages`, whatever it was joined with."""
    return MessageFacts(
        message_id=row.message_id,
        kind=MessageKind(row.kind),
        sender=row.sender,
        sender_name=row.sender_name,
        document_id=row.document_id,
        subject=row.subject,
        business=None if row.business is None else BusinessType(row.business),
        status=None if row.status is None else StatusCode(row.status),
        description=row.description,
        priority=Priority(row.priority),
        due_date=row.due_date,
        about=spoken_of,
        sealed_bytes=row.sealed_bytes,
        purged_at=row.purged_at,
        code=None if row.number is None else DocumentCode(number=row.number, notation=row.notation or ""),
        document_type=row.document_type,
    )


def lane_of(transaction: Transaction, message_ids: Iterable[Sha256Hex]) -> int | None:
    """The most urgent lane among those of `message_ids` that are known; None if none is."""
    lanes = transaction.scalars(_LANES, {"of_messages": list(message_ids)})
    return min(lanes, default=None)


def newest_sent(transaction: Transaction, sender: AgencyCode, document_id: str) -> Sha256Hex | None:
    """The newest document with that DocumentId that this node sent for `sender`."""
    return transaction.scalar(
        select(messages.c.message_id)
        .join(outbox, outbox.c.message_id == messages.c.message_id)
        .where(
            messages.c.document_id == document_id,
            messages.c.sender == sender,
            messages.c.kind == MessageKind.DOCUMENT,
            messages.c.message_id.not_in(select(companions.c.message_id)),
        )
        .order_by(_IS_REQUEST, messages.c.sequence.desc())
        .limit(1)
    )


def newest_received(
    transaction: Transaction, receiver: AgencyCode, document_id: str, *, senders: Sequence[AgencyCode]
) -> Sha256Hex | None:
    """The newest document with that DocumentId that came for `receiver`, from one of `senders` if any is named."""
    statement = (
        select(messages.c.message_id)
        .join(handovers, (handovers.c.message_id == messages.c.message_id) & (handovers.c.code == receiver))
        .where(messages.c.document_id == document_id, messages.c.kind == MessageKind.DOCUMENT)
        .order_by(_IS_REQUEST, messages.c.sequence.desc())
        .limit(1)
    )
    if senders:
        statement = statement.where(messages.c.sender.in_(senders))
    found: Sha256Hex | None = transaction.scalar(statement)
    return found


def newest_with(transaction: Transaction, document_id: str) -> Sha256Hex | None:
    """The newest document with that DocumentId, sent or received; None if there is none."""
    found: Sha256Hex | None = transaction.scalar(
        select(messages.c.message_id)
        .where(
            messages.c.document_id == document_id,
            messages.c.kind == MessageKind.DOCUMENT,
            messages.c.message_id.not_in(select(companions.c.message_id)),
        )
        .order_by(_IS_REQUEST, messages.c.sequence.desc())
        .limit(1)
    )
    return found


def beginning_with(transaction: Transaction, digits: str, *, limit: int) -> tuple[Sha256Hex, ...]:
    """Messages whose id begins with `digits`."""
    return tuple(
        transaction.scalars(
            select(messages.c.message_id)
            # `g` comes after every hexadecimal digit: a range, which the index answers.
            .where(messages.c.message_id >= digits, messages.c.message_id < digits + "g")
            .limit(limit)
        )
    )
