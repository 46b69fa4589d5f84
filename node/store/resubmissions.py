"""Messages that are submitted once more, because the hub was restored and may lack them."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, exists, func, literal, null, or_, select, update

from node.store.message_tables import attachments, messages, outbox, outbox_recipients
from node.store.metadata import Transaction
from node.store.receipt_tables import receipts
from node.store.records import Trouble
from node.store.sending_queue import ReadyMessage
from node.store.standing_tables import resubmissions
from node.store.states import DeliveryState, OutboxState
from runtime.columns import insert_or
from schemas.envelope import Sha256Hex

_columns = resubmissions.c


def begin(transaction: Transaction, *, since: datetime, at: datetime) -> int:
    """Queue every accepted message that is not final at all its recipients, or may have become so since `since`.

    It may have if it was accepted, or a receipt of it came, at `since` or later: by the hub's clock and by this node's.
    When its recipients say that it happened is their clocks' word, which may be wrong by years.

    Gives how many are queued. What a message needs to be sent is kept from `at` on as if it had just been sent.
    """
    open_still = exists().where(
        outbox_recipients.c.message_id == outbox.c.message_id,
        outbox_recipients.c.delivery == DeliveryState.ACCEPTED,
    )
    told_lately = exists().where(receipts.c.message_id == outbox.c.message_id, receipts.c.stored_at >= since)
    lately = or_(open_still, told_lately, outbox.c.accepted_at >= since)
    incomplete = exists().where(attachments.c.message_id == outbox.c.message_id, attachments.c.purged_at.is_not(None))
    chosen = (
        select(outbox.c.message_id, outbox.c.lane, outbox.c.sequence, literal(0), null(), null(), null())
        .join(messages, messages.c.message_id == outbox.c.message_id)
        .where(outbox.c.state == OutboxState.ACCEPTED, messages.c.purged_at.is_(None), ~incomplete, lately)
    )
    transaction.execute(delete(resubmissions))
    transaction.execute(
        insert_or(transaction, resubmissions).from_select(
            ["message_id", "lane", "sequence", "attempts", "due_at", "trouble_code", "trouble_text"], chosen
        )
    )
    transaction.execute(
        update(outbox)
        .where(outbox.c.message_id.in_(select(_columns.message_id)), outbox.c.kept_from.is_not(None))
        .values(kept_from=at)
    )
    return count(transaction)


def ready(transaction: Transaction, *, limit: int) -> tuple[ReadyMessage, ...]:
    """What may be submitted now: the most urgent lane first, in it the oldest first."""
    rows = transaction.execute(
        select(_columns.message_id, _columns.lane, _columns.attempts)
        .where(_columns.due_at.is_(None))
        .order_by(_columns.lane, _columns.sequence)
        .limit(limit)
    )
    return tuple(ReadyMessage(row.message_id, row.lane, row.attempts) for row in rows)


def next_due(transaction: Transaction) -> datetime | None:
    due_at: datetime | None = transaction.scalar(select(func.min(_columns.due_at)))
    return due_at


def wake_rested(transaction: Transaction, now: datetime, *, longest: timedelta) -> None:
    """Make ready what has rested until `now`; what is due later than `longest` from now, the clock was set back."""
    transaction.execute(
        update(resubmissions).where((_columns.due_at <= now) | (_columns.due_at > now + longest)).values(due_at=None)
    )


def wake_all(transaction: Transaction) -> None:
    transaction.execute(update(resubmissions).values(due_at=None))


def put_off(transaction: Transaction, message_id: Sha256Hex, trouble: Trouble, *, due_at: datetime) -> None:
    transaction.execute(
        update(resubmissions)
        .where(_columns.message_id == message_id)
        .values(due_at=due_at, attempts=_columns.attempts + 1, trouble_code=trouble.code, trouble_text=trouble.text)
    )


def end(transaction: Transaction, message_id: Sha256Hex, *, epoch: str | None) -> None:
    """The message needs to be submitted no more; the hub of `epoch` has it, if one is named."""
    transaction.execute(delete(resubmissions).where(_columns.message_id == message_id))
    if epoch is not None:
        transaction.execute(update(outbox).where(outbox.c.message_id == message_id).values(epoch=epoch))


def count(transaction: Transaction) -> int:
    return transaction.execute(select(func.count()).select_from(resubmissions)).scalar_one()
