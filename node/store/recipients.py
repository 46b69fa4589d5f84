"""How far our messages have come to each recipient, told by receipts and by statuses."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import or_, select, update

from node.store.message_tables import outbox_recipients
from node.store.metadata import Transaction
from node.store.records import Trouble
from node.store.states import DeliveryState
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.message import StatusCode

#: What each state may follow. A consignment supersedes an expiry or cancellation that was already told; nothing undoes
#: what the recipient's own node has attested later in the way.
_FOLLOWS = {
    DeliveryState.CONSIGNED: (
        DeliveryState.WAITING,
        DeliveryState.ACCEPTED,
        DeliveryState.REFUSED,
        DeliveryState.EXPIRED,
        DeliveryState.CANCELLED,
    ),
    DeliveryState.HANDED_OVER: tuple(state for state in DeliveryState if state is not DeliveryState.HANDED_OVER),
    DeliveryState.HANDOVER_FAILED: (
        DeliveryState.WAITING,
        DeliveryState.ACCEPTED,
        DeliveryState.CONSIGNED,
        DeliveryState.EXPIRED,
        DeliveryState.CANCELLED,
    ),
    DeliveryState.REFUSED: (DeliveryState.WAITING, DeliveryState.ACCEPTED),
    DeliveryState.EXPIRED: (DeliveryState.WAITING, DeliveryState.ACCEPTED),
    DeliveryState.CANCELLED: (DeliveryState.WAITING, DeliveryState.ACCEPTED),
}


def recipient_among(
    transaction: Transaction, message_id: Sha256Hex, codes: Collection[AgencyCode]
) -> AgencyCode | None:
    """Under which of `codes` (one agency's, today's and older) a message of ours has that agency as a recipient."""
    code: AgencyCode | None = transaction.scalar(
        select(outbox_recipients.c.code)
        .where(outbox_recipients.c.message_id == message_id, outbox_recipients.c.code.in_(codes))
        .limit(1)
    )
    return code


def advance(
    transaction: Transaction,
    message_id: Sha256Hex,
    code: AgencyCode,
    delivery: DeliveryState,
    *,
    at: datetime,
    trouble: Trouble | None,
) -> None:
    """Note that a delivery has come to `delivery`, unless it is known to be further."""
    transaction.execute(
        update(outbox_recipients)
        .where(
            outbox_recipients.c.message_id == message_id,
            outbox_recipients.c.code == code,
            outbox_recipients.c.delivery.in_(_FOLLOWS[delivery]),
        )
        .values(
            delivery=delivery,
            since=at,
            trouble_code=trouble.code if trouble else None,
            trouble_text=trouble.text if trouble else None,
        )
    )


def note_status(
    transaction: Transaction,
    message_id: Sha256Hex,
    code: AgencyCode,
    status: StatusCode,
    *,
    text: str | None,
    at: datetime,
) -> None:
    """Keep the newest status from a recipient; of two in the same second, the later in the business."""
    columns = outbox_recipients.c
    is_newer = or_(
        columns.status_at.is_(None), columns.status_at < at, (columns.status_at == at) & (columns.status <= status)
    )
    transaction.execute(
        update(outbox_recipients)
        .where(columns.message_id == message_id, columns.code == code, is_newer)
        .values(status=status, status_text=text, status_at=at)
    )
