"""The queue that the outbox is: what may be sent now, what rests until its next try."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, func, select, update

from node.store.bulk import BULK_BYTES, attached_bytes, is_bulk
from node.store.message_tables import outbox
from node.store.metadata import Transaction
from node.store.records import Trouble
from node.store.states import OutboxState
from node.store.troubles import trouble_values
from runtime.prepared import Prepared
from schemas.envelope import Sha256Hex

#: As `node.usecases.lanes` has it.
_EXPRESS: Final = 0

WAITING = tuple(state for state in OutboxState if state.is_waiting)


@dataclass(frozen=True, slots=True)
class ReadyMessage:
    """A message that may be sent now, with attachments of `size` bytes in all. `is_bulk`: they are large."""

    message_id: Sha256Hex
    lane: int
    attempts: int
    is_bulk: bool = False
    size: int = 0


# Looked at after every message: built once.
_BULK = is_bulk(outbox.c.message_id)
_ALL_READY = (
    select(outbox.c.message_id, outbox.c.lane, outbox.c.attempts, attached_bytes(outbox.c.message_id).label("size"))
    .where(outbox.c.state == OutboxState.READY, outbox.c.message_id.not_in(bindparam("of_others", expanding=True)))
    .order_by(outbox.c.lane, outbox.c.sequence)
    .limit(bindparam("most"))
)
_READY = Prepared(_ALL_READY)
_READY_WITHOUT_BULK = Prepared(_ALL_READY.where((outbox.c.lane == _EXPRESS) | ~_BULK))
_NEXT_DUE = Prepared(select(func.min(outbox.c.due_at)).where(outbox.c.state == OutboxState.RESTING))


def ready(
    transaction: Transaction,
    *,
    limit: int,
    bulk_bytes: int,
    with_bulk: bool = True,
    besides: Collection[Sha256Hex] = (),
) -> tuple[ReadyMessage, ...]:
    """What may be sent now, `besides` others: the most urgent lane first, in it the oldest first.

    Bulk has attachments of `bulk_bytes` in all or more; ordinary bulk may be left out.
    """
    statement = _READY if with_bulk else _READY_WITHOUT_BULK
    asked: dict[str, object] = {"most": limit, "of_others": list(besides)}
    if not with_bulk:
        asked[BULK_BYTES] = bulk_bytes
    return tuple(
        ReadyMessage(row.message_id, row.lane, row.attempts, row.size >= bulk_bytes, int(row.size))
        for row in statement.all(transaction, asked)
    )


def next_due(transaction: Transaction) -> datetime | None:
    """When the first resting message is to be tried again."""
    due_at: datetime | None = _NEXT_DUE.scalar(transaction, {})
    return due_at


def wake_rested(transaction: Transaction, now: datetime, *, longest: timedelta) -> None:
    """Make ready what has rested until `now`.

    Nothing rests for more than `longest`: what is due later than that was put off before the clock was set back.
    """
    transaction.execute(
        update(outbox)
        .where(outbox.c.state == OutboxState.RESTING, (outbox.c.due_at <= now) | (outbox.c.due_at > now + longest))
        .values(state=OutboxState.READY, due_at=None)
    )


def put_off(
    transaction: Transaction, message_id: Sha256Hex, trouble: Trouble, *, at: datetime, due_at: datetime
) -> None:
    """Note a try that failed at the time `at`; the message rests until `due_at`."""
    transaction.execute(
        update(outbox)
        .where(outbox.c.message_id == message_id, outbox.c.state.in_(WAITING))
        .values(state=OutboxState.RESTING, due_at=due_at, **tried(at), **trouble_values(trouble))
    )


def wake_troubled(transaction: Transaction, codes: Collection[str]) -> int:
    """Make ready what rests for one of these troubles: it has passed. Gives how many."""
    return transaction.execute(
        update(outbox)
        .where(outbox.c.state == OutboxState.RESTING, outbox.c.trouble_code.in_(codes))
        .values(state=OutboxState.READY, due_at=None)
    ).rowcount


def tried(at: datetime) -> dict[str, object]:
    """Values that note one more try."""
    return {"attempts": outbox.c.attempts + 1, "tried_at": at}
