"""The inbox: messages received, each durable before anyone is told that it has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select, update

from adapters.sdk import EventName
from node.store import business, events, handovers
from node.store import messages as message_store
from node.store.message_tables import envelopes, inbox, messages
from node.store.message_tables import handovers as handover_table
from node.store.messages import RecordedMessage
from node.store.metadata import Transaction
from node.store.records import AttachmentRow
from runtime.columns import Upsert
from runtime.prepared import Prepared
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.message import Document, StatusMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMessage:
    """A verified message for `codes`. `accepted_at` is the hub's time, `received_at` ours; `signer` its subject."""

    message: RecordedMessage
    codes: Sequence[AgencyCode]
    signer: str
    signer_fingerprint: Sha256Hex
    signed_at: datetime
    accepted_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True)
class DescribedMessage:
    """What the record says of a message; `sender` is the agency's code of the day it came."""

    sender: AgencyCode
    document_id: str | None
    lane: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """A received message as it is kept."""

    sealed: bytes
    about: tuple[Sha256Hex, ...]
    attachments: tuple[AttachmentRow, ...]
    signer: str
    signed_at: datetime
    accepted_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Added:
    """For which `codes` a message had not come before, and whether it had not come at all."""

    codes: tuple[AgencyCode, ...]
    is_first: bool


# What each message needs is built once: to build a statement costs four times what it costs to run it.
_ADD = Prepared(Upsert(inbox, lambda adding: adding.on_conflict_do_nothing(index_elements=[inbox.c.message_id])))
_KEEP_AGAIN = Prepared(
    update(inbox)
    .where(inbox.c.message_id == bindparam("of_message"), inbox.c.kept_from.is_(None))
    .values(kept_from=bindparam("since"))
)
_CODES = Prepared(select(handover_table.c.code).where(handover_table.c.message_id == bindparam("of_message")))
_DESCRIBED = Prepared(
    select(messages.c.sender, messages.c.document_id, messages.c.lane).where(
        messages.c.message_id == bindparam("of_message")
    )
)
_STORED = Prepared(
    select(inbox, envelopes.c.sealed)
    .join(envelopes, envelopes.c.message_id == inbox.c.message_id)
    .where(inbox.c.message_id == bindparam("of_message"))
)


def add(transaction: Transaction, received: ReceivedMessage, *, hold_until: datetime) -> Added:
    """Record the message and its hand-overs."""
    sequence = message_store.add(transaction, received.message)
    is_first = _ADD.run(
        transaction,
        {
            "message_id": received.message.message_id,
            "sequence": sequence,
            "signer": received.signer,
            "signer_fingerprint": received.signer_fingerprint,
            "signed_at": received.signed_at,
            "accepted_at": received.accepted_at,
            "received_at": received.received_at,
            "kept_from": received.received_at,
        },
    )
    added = tuple(
        code
        for code in received.codes
        if handovers.add(
            transaction, received.message, code, sequence=sequence, at=received.received_at, hold_until=hold_until
        )
    )
    if added:
        message_store.restore_payload(transaction, received.message)
    if added and not is_first:
        kept = {"of_message": received.message.message_id, "since": received.received_at}
        _KEEP_AGAIN.run(transaction, kept)
    business.enter_received(transaction, received.message, added, at=received.received_at)
    match received.message.envelope.message:
        case StatusMessage(description=text):
            name = EventName.STATUS_ARRIVED
        case Document():
            name, text = EventName.DOCUMENT_ARRIVED, None
    for code in added:
        events.tell(transaction, name, received.message.message_id, at=received.received_at, code=code, text=text)
    return Added(added, is_first=bool(is_first))


def kept_of(received: ReceivedMessage) -> tuple[DescribedMessage, StoredMessage]:
    """What `described` and `stored` say of a message that `add` has just recorded for the first time."""
    message = received.message
    described = DescribedMessage(message.sender, message_store.document_id_of(message.envelope), message.lane)
    return described, StoredMessage(
        sealed=message.data,
        about=tuple(dict.fromkeys(message.envelope.extension.about)),
        attachments=message_store.attachment_rows(message.envelope),
        signer=received.signer,
        signed_at=received.signed_at,
        accepted_at=received.accepted_at,
        received_at=received.received_at,
    )


def codes_known(transaction: Transaction, message_id: Sha256Hex) -> frozenset[AgencyCode]:
    """The codes for which the message has come already; none if it has not come at all."""
    return frozenset(_CODES.scalars(transaction, {"of_message": message_id}))


def sender_of(transaction: Transaction, message_id: Sha256Hex) -> AgencyCode | None:
    """Who sent a message that was received here; None if it was not."""
    sender: AgencyCode | None = transaction.scalar(
        select(messages.c.sender)
        .join(inbox, inbox.c.message_id == messages.c.message_id)
        .where(messages.c.message_id == message_id)
    )
    return sender


def described(transaction: Transaction, message_id: Sha256Hex) -> DescribedMessage | None:
    """What is known of a message even when its bytes are not here; None if nothing is."""
    row = _DESCRIBED.first(transaction, {"of_message": message_id})
    return None if row is None else DescribedMessage(row.sender, row.document_id, row.lane)


def stored(transaction: Transaction, message_id: Sha256Hex) -> StoredMessage | None:
    """A received message whole; None if its bytes are not here."""
    row = _STORED.first(transaction, {"of_message": message_id})
    if row is None:
        return None
    return StoredMessage(
        sealed=row.sealed,
        about=message_store.about_of(transaction, message_id),
        attachments=message_store.attachments_of(transaction, message_id),
        signer=row.signer,
        signed_at=row.signed_at,
        accepted_at=row.accepted_at,
        received_at=row.received_at,
    )
