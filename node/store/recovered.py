"""Messages of ours that the hub had and this record lacked: it was put back to a backup, and fetched them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, insert, select, update

from node.store import attachment_recoveries, business, companions
from node.store import messages as message_store
from node.store.message_tables import outbox, outbox_recipients
from node.store.messages import RecordedMessage
from node.store.metadata import Transaction
from node.store.records import CompanionRow
from node.store.requests import REQUESTS
from node.store.states import CompanionRole, DeliveryState, OutboxState
from runtime.columns import insert_or
from runtime.prepared import Prepared
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.message import BusinessType, Document

#: Stands in place of the adapter until whoever had handed the message in does so again, under its key.
RECOVERED: Final = "recovered"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveredMessage:
    """A message that was fetched back. `recipients` are codes of today, each with the code that the message names."""

    message: RecordedMessage
    submission_id: str
    sealed_at: datetime
    accepted_at: datetime
    epoch: str
    recipients: Sequence[tuple[AgencyCode, AgencyCode]]


def add(transaction: Transaction, recovered: RecoveredMessage, *, at: datetime) -> bool:
    """Record an accepted message; False, and nothing is written, if it is on record by now."""
    message = recovered.message
    original = _copied_by(transaction, message)
    sequence = message_store.add(transaction, message)
    added = transaction.scalar(
        insert_or(transaction, outbox).on_conflict_do_nothing().returning(outbox.c.message_id),
        {
            "message_id": message.message_id,
            "sequence": sequence,
            "adapter": RECOVERED,
            "sender": message.sender,
            "key": message.message_id,
            "fingerprint": message.message_id,
            "submission_id": recovered.submission_id,
            "created_at": recovered.sealed_at,
            "state": OutboxState.ACCEPTED,
            "lane": message.lane,
            "attempts": 1,
            "tried_at": at,
            "accepted_at": recovered.accepted_at,
            "epoch": recovered.epoch,
            "kept_from": at,
        },
    )
    if added is None:
        return False
    values = [
        {
            "message_id": message.message_id,
            "code": code,
            "position": position,
            "written": written,
            "delivery": DeliveryState.ACCEPTED,
            "since": recovered.accepted_at,
        }
        for position, (code, written) in enumerate(recovered.recipients)
    ]
    if values:
        transaction.execute(insert(outbox_recipients), values)
    if message.envelope.extension.attachment_sizes:
        attachment_recoveries.begin(transaction, message.message_id, lane=message.lane, sequence=sequence)
    if original is not None:
        companions.add(
            transaction,
            CompanionRow(message_id=message.message_id, leader=original, role=CompanionRole.COPY, document=original),
        )
    business.enter_sent(transaction, message, [code for code, _ in recovered.recipients], at=recovered.sealed_at)
    return True


def _copied_by(transaction: Transaction, message: RecordedMessage) -> Sha256Hex | None:
    """The document on record that `message`, not on record yet, brings to those who were added: it bears its number.

    Nothing in an envelope says that it holds a copy. Two documents under one number of which one is taken for a copy
    are recalled together; a copy that is taken for a document is left out when the document is recalled.
    """
    content = message.envelope.message
    if not isinstance(content, Document) or content.business_type is not BusinessType.NEW or not content.document_id:
        return None
    original = message_store.newest_sent(transaction, message.sender, content.document_id)
    facts = message_store.facts(transaction, original) if original is not None else None
    return original if facts is not None and facts.business not in REQUESTS else None


# Asked for every submission: built once.
_WITHOUT_KEY: Final = Prepared(
    select(outbox.c.message_id).where(
        outbox.c.submission_id == bindparam("of_submission"), outbox.c.adapter == RECOVERED
    )
)


def is_claimable(transaction: Transaction, submission_id: str) -> bool:
    """Whether a recovered message with that submission id waits for its key."""
    return _WITHOUT_KEY.scalar(transaction, {"of_submission": submission_id}) is not None


def claim(
    transaction: Transaction, *, submission_id: str, adapter: str, key: str, fingerprint: Sha256Hex
) -> Sha256Hex | None:
    """Give a recovered message its key back, by the submission id that is made from it; gives the message, if any.

    What it was handed in with is not known any more: the first who names the key is taken at his word.
    """
    message_id: Sha256Hex | None = _WITHOUT_KEY.scalar(transaction, {"of_submission": submission_id})
    if message_id is not None:
        transaction.execute(
            update(outbox)
            .where(outbox.c.message_id == message_id)
            .values(adapter=adapter, key=key, fingerprint=fingerprint)
        )
    return message_id


def newest_accepted_at(transaction: Transaction) -> datetime | None:
    """When, by the hub's clock, the newest accepted message of this record was accepted; None if there is none."""
    at: datetime | None = transaction.scalar(
        select(outbox.c.accepted_at)
        .where(outbox.c.state == OutboxState.ACCEPTED)
        .order_by(outbox.c.sequence.desc())
        .limit(1)
    )
    return at
