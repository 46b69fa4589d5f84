"""Accepted messages: the envelope as it came, whom it was resolved to, and what is known of it by its id."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Row, bindparam, insert, select

from hub.store.exchange_tables import envelopes, messages, messages_about, proofs, receipts
from hub.store.metadata import Transaction
from runtime.columns import Upsert
from runtime.prepared import Prepared
from schemas.envelope import Sha256Hex
from schemas.receipts import ReceiptEvent, SignedReceipt


class MessageKind(StrEnum):
    """What a message does. All but a status are documents."""

    DOCUMENT = "document"
    RECALL = "recall"
    UPDATE = "update"
    REPLACEMENT = "replacement"
    STATUS = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message to add; the fields are the columns of `messages`, and the bytes that were signed."""

    message_id: Sha256Hex
    from_code: str
    sender: str
    connection: str
    kind: MessageKind
    document_id: str | None
    priority: int
    lane: int
    accepted_at: datetime
    expires_at: datetime
    directory_version: int
    recipients_count: int
    recipients_digest: Sha256Hex
    left_out: tuple[str, ...]
    weight: int
    envelope: bytes


@dataclass(frozen=True, slots=True)
class StoredAcceptance:
    """What a submission was answered, to answer its repeats with."""

    acknowledgement: SignedReceipt
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownMessage:
    """An accepted message, without its bytes. `message` is its number here; the rest are the columns of `messages`."""

    message: int
    message_id: Sha256Hex
    from_code: str
    sender: str
    connection: str
    kind: MessageKind
    document_id: str | None
    priority: int
    lane: int
    accepted_at: datetime
    expires_at: datetime
    purged_at: datetime | None


_KNOWN = tuple(messages.c[field.name] for field in fields(KnownMessage))

# Built once: a submission asks this before anything else.
_ACCEPTANCE = Prepared(
    select(receipts.c.body, proofs.c.body.label("proof"), messages.c.left_out)
    .join_from(messages, receipts, receipts.c.message == messages.c.message)
    .join(proofs, proofs.c.digest == receipts.c.proof)
    .where(
        messages.c.message_id == bindparam("of_message_id"),
        messages.c.from_code == bindparam("of_from_code"),
        receipts.c.recipient.is_(None),
        receipts.c.event == ReceiptEvent.SUBMISSION_ACCEPTANCE,
    )
)


_ADD = Prepared(Upsert(messages, lambda adding: adding.on_conflict_do_nothing().returning(messages.c.message)))
_ADD_ENVELOPE = Prepared(insert(envelopes))
_ADD_ABOUT = insert(messages_about)
_OF_IDS = Prepared(select(*_KNOWN).where(messages.c.message_id.in_(bindparam("ids", expanding=True))))
_COLUMNS = tuple(field.name for field in fields(NewMessage) if field.name != "envelope")


def add(transaction: Transaction, new: Sequence[NewMessage]) -> list[int | None]:
    """Add messages and give their numbers, in order; None, and nothing changes, for an id that From holds already."""
    numbers: list[int | None] = []
    for each in new:
        values = {name: getattr(each, name) for name in _COLUMNS}
        values["left_out"] = "\n".join(each.left_out) or None
        values["kept_from"] = each.accepted_at
        numbers.append(_ADD.scalar(transaction, values))
    _ADD_ENVELOPE.run_each(
        transaction,
        [
            {"message": number, "body": each.envelope}
            for number, each in zip(numbers, new, strict=True)
            if number is not None
        ],
    )
    return numbers


def add_about(transaction: Transaction, message: int, about: Sequence[int]) -> None:
    """Note which messages `message` speaks of."""
    if about:
        transaction.execute(_ADD_ABOUT, [{"about": each, "message": message} for each in about])


def acceptance(transaction: Transaction, message_id: Sha256Hex, from_code: str) -> StoredAcceptance | None:
    """The stored answer to the submission of a message; None if there is no such message."""
    asked = {"of_message_id": message_id, "of_from_code": from_code}
    row = _ACCEPTANCE.first(transaction, asked)
    if row is None:
        return None
    return StoredAcceptance(SignedReceipt(row.body, row.proof), tuple(row.left_out.split("\n")) if row.left_out else ())


def known(transaction: Transaction, message_ids: Collection[Sha256Hex]) -> dict[Sha256Hex, KnownMessage]:
    """The accepted messages among `message_ids`, by id: an id covers From, so that it names one message."""
    if not message_ids:
        return {}
    rows = _OF_IDS.all(transaction, {"ids": list(message_ids)})
    return {row.message_id: _known(row) for row in rows}


def beginning_with(transaction: Transaction, prefix: str, *, most: int) -> list[KnownMessage]:
    """Up to `most` messages whose ids begin with `prefix` (hex digits), the newest first."""
    # After f comes g: the ids that begin so are one range of the index.
    rows = transaction.execute(
        select(*_KNOWN)
        .where(messages.c.message_id >= prefix, messages.c.message_id < prefix + "g")
        .order_by(messages.c.message.desc())
        .limit(most)
    )
    return [_known(row) for row in rows]


def with_document_id(transaction: Transaction, document_id: str, *, most: int) -> list[KnownMessage]:
    """Up to `most` messages with that DocumentId: documents first, then statuses about it, the newest first."""
    rows = transaction.execute(
        select(*_KNOWN)
        .where(messages.c.document_id == document_id)
        .order_by(messages.c.kind == MessageKind.STATUS, messages.c.message.desc())
        .limit(most)
    )
    return [_known(row) for row in rows]


def payload_of(transaction: Transaction, message: int) -> tuple[int, datetime | None]:
    """What an entry of a message weighs, and when its payload was dropped, if it was."""
    row = transaction.execute(
        select(messages.c.weight, messages.c.purged_at).where(messages.c.message == message)
    ).one()
    return row.weight, row.purged_at


def numbered(transaction: Transaction, numbers: Collection[int]) -> dict[int, KnownMessage]:
    """The messages of those numbers, by number."""
    rows = transaction.execute(select(*_KNOWN).where(messages.c.message.in_(numbers)))
    return {row.message: _known(row) for row in rows}


def _known(row: Row[*tuple[object, ...]]) -> KnownMessage:
    values = row._asdict()
    return KnownMessage(**{**values, "kind": MessageKind(values["kind"])})
