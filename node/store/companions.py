"""Messages that went out as part of another one, and who holds a document under which message."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, insert, or_, select

from node.store.business_tables import companions, requests
from node.store.message_tables import messages, outbox, outbox_recipients
from node.store.metadata import Transaction
from node.store.outbox import Recipient
from node.store.records import CompanionRow
from node.store.states import CompanionRole, DeliveryState, OutboxState, RequestState
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.message import BusinessType

#: Deliveries that ended before the recipient had the message.
_NEVER_GOT: Final = (DeliveryState.REFUSED, DeliveryState.EXPIRED, DeliveryState.CANCELLED)


def add(transaction: Transaction, companion: CompanionRow) -> None:
    transaction.execute(
        insert(companions).values(
            message_id=companion.message_id,
            leader=companion.leader,
            role=companion.role,
            document=companion.document,
        )
    )


def touching(transaction: Transaction, message_ids: Collection[Sha256Hex]) -> tuple[CompanionRow, ...]:
    """The companions that are, follow, or copy one of `message_ids`, in the order in which they were made."""
    rows = transaction.execute(
        select(companions)
        .join(messages, messages.c.message_id == companions.c.message_id)
        .where(
            or_(
                companions.c.message_id.in_(message_ids),
                companions.c.leader.in_(message_ids),
                companions.c.document.in_(message_ids),
            )
        )
        .order_by(messages.c.sequence)
    )
    return tuple(_row(row) for row in rows)


def original_of(transaction: Transaction, message_id: Sha256Hex) -> Sha256Hex:
    """The document of which `message_id` is a copy; itself if it is none."""
    found: Sha256Hex | None = transaction.scalar(
        select(companions.c.document).where(companions.c.message_id == message_id)
    )
    return found or message_id


def holders(
    transaction: Transaction, document: Sha256Hex, *, with_former: bool
) -> tuple[tuple[Sha256Hex, Recipient], ...]:
    """Who got `document`, each with the message under which it is known there: the document itself, or a copy.

    Whoever's delivery ended before it arrived has nothing. Whoever is asked to give that message back, or has agreed
    to, is a former holder. One who holds several is named with the newest.
    """
    recalled = (
        select(requests.c.message_id)
        .where(
            requests.c.about == outbox_recipients.c.message_id,
            requests.c.code == outbox_recipients.c.code,
            requests.c.kind == BusinessType.RECALL,
            requests.c.state != RequestState.REFUSED,
        )
        .exists()
    )
    statement = (
        select(
            outbox_recipients.c.message_id,
            outbox_recipients.c.code,
            outbox_recipients.c.written,
            outbox_recipients.c.name,
        )
        .join(outbox, outbox.c.message_id == outbox_recipients.c.message_id)
        .where(
            _brings(document),
            outbox_recipients.c.delivery.not_in(_NEVER_GOT),
            outbox.c.state != OutboxState.REFUSED,
        )
        .order_by(outbox.c.sequence, outbox_recipients.c.position)
    )
    if not with_former:
        statement = statement.where(~recalled)
    newest = {
        row.code: (row.message_id, Recipient(code=row.code, written=row.written, name=row.name))
        for row in transaction.execute(statement)
    }
    return tuple(newest.values())


def never_got(transaction: Transaction, document: Sha256Hex) -> Mapping[AgencyCode, DeliveryState]:
    """Whom `document` or a copy was sent to and did not reach, with how that delivery ended; the newest counts."""
    rows = transaction.execute(
        select(outbox_recipients.c.code, outbox_recipients.c.delivery)
        .join(outbox, outbox.c.message_id == outbox_recipients.c.message_id)
        .where(_brings(document))
        .order_by(outbox.c.sequence)
    )
    newest = {row.code: DeliveryState(row.delivery) for row in rows}
    return {code: delivery for code, delivery in newest.items() if delivery in _NEVER_GOT}


def _brings(document: Sha256Hex) -> ColumnElement[bool]:
    """Whether a recipient's row is of the document itself or of a copy."""
    held = select(companions.c.message_id).where(companions.c.document == document)
    return or_(outbox_recipients.c.message_id == document, outbox_recipients.c.message_id.in_(held))


def _row(row: Row[tuple[Any, ...]]) -> CompanionRow:
    return CompanionRow(
        message_id=row.message_id, leader=row.leader, role=CompanionRole(row.role), document=row.document
    )
