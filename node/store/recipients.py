"""How far our messages have come to each recipient, told by receipts and by statuses."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Update, bindparam, or_, select, update

from adapters.sdk import EventName
from node.store import events
from node.store.message_tables import outbox_recipients
from node.store.metadata import Transaction
from node.store.records import Trouble
from node.store.states import DeliveryState, MessageKind
from runtime.prepared import Prepared
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.message import StatusCode
from schemas.status_order import FINAL_STAGE, stage_of

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

_EVENTS = {
    DeliveryState.CONSIGNED: EventName.DELIVERY_CONSIGNED,
    DeliveryState.HANDED_OVER: EventName.DELIVERY_HANDED_OVER,
    DeliveryState.HANDOVER_FAILED: EventName.DELIVERY_HANDOVER_FAILED,
    DeliveryState.REFUSED: EventName.DELIVERY_REFUSED,
    DeliveryState.EXPIRED: EventName.DELIVERY_EXPIRED,
    DeliveryState.CANCELLED: EventName.DELIVERY_CANCELLED,
}

#: A delivery that ended so may be offered anew by the hub's operator and end once more: the later end counts.
_ENDED = (DeliveryState.REFUSED, DeliveryState.EXPIRED, DeliveryState.CANCELLED)


# Each receipt and each status asks and changes these: built once.
_AMONG = (
    select(outbox_recipients.c.code)
    .where(
        outbox_recipients.c.message_id == bindparam("of_message"),
        outbox_recipients.c.code.in_(bindparam("codes", expanding=True)),
    )
    .limit(1)
)

_IS_RECIPIENT = Prepared(
    select(outbox_recipients.c.code).where(
        outbox_recipients.c.message_id == bindparam("of_message"), outbox_recipients.c.code == bindparam("of_code")
    )
)


def _advancing(delivery: DeliveryState) -> Update:
    columns = outbox_recipients.c
    follows: ColumnElement[bool] = columns.delivery.in_(_FOLLOWS[delivery])
    if delivery in _ENDED:
        follows = or_(follows, columns.delivery.in_(_ENDED) & (columns.since < bindparam("at")))
    return (
        update(outbox_recipients)
        .where(columns.message_id == bindparam("of_message"), columns.code == bindparam("of_code"), follows)
        .values(
            delivery=delivery,
            since=bindparam("at"),
            trouble_code=bindparam("code_of"),
            trouble_text=bindparam("text_of"),
        )
    )


_ADVANCE = {delivery: Prepared(_advancing(delivery)) for delivery in _FOLLOWS}


def recipient_among(
    transaction: Transaction, message_id: Sha256Hex, codes: Collection[AgencyCode]
) -> AgencyCode | None:
    """Under which of `codes` (one agency's, today's and older) a message of ours has that agency as a recipient."""
    if len(codes) == 1:
        (only,) = codes
        return _IS_RECIPIENT.scalar(transaction, {"of_message": message_id, "of_code": only})
    code: AgencyCode | None = transaction.scalar(_AMONG, {"of_message": message_id, "codes": list(codes)})
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
    changed = _ADVANCE[delivery].run(
        transaction,
        {
            "of_message": message_id,
            "of_code": code,
            "at": at,
            "code_of": trouble.code if trouble else None,
            "text_of": trouble.text if trouble else None,
        },
    )
    if changed:
        text = trouble.text if trouble else None
        # That a status of ours came to its reader is news to nobody.
        kinds = (MessageKind.DOCUMENT,)
        events.tell(transaction, _EVENTS[delivery], message_id, at=at, code=code, text=text, kinds=kinds)


def note_status(
    transaction: Transaction,
    message_id: Sha256Hex,
    code: AgencyCode,
    status: StatusCode,
    *,
    text: str | None,
    at: datetime,
) -> None:
    """Keep the furthest status from a recipient, whatever order they come in; of two equally far, the newer.

    Standing never goes backwards: after 06 a 03 is a message like any other, and an end (02, 06, 15, 16) stays.
    """
    columns = outbox_recipients.c
    stage = stage_of(status)
    behind = [each for each in StatusCode if stage_of(each) < stage]
    level = [each for each in StatusCode if stage_of(each) == stage < FINAL_STAGE]
    is_further = or_(
        columns.status.is_(None),
        columns.status.in_(behind),
        columns.status.in_(level)
        & ((columns.status_at < at) | ((columns.status_at == at) & (columns.status <= status))),
    )
    transaction.execute(
        update(outbox_recipients)
        .where(columns.message_id == message_id, columns.code == code, is_further)
        .values(status=status, status_text=text, status_at=at)
    )
