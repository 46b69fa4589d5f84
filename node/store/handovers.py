"""Hand-overs: each received message on its way to each agency's software. What is held, and why: `node.store.holds`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, bindparam, func, insert, select, update

from adapters.sdk import EventName
from node.store import events, holds
from node.store.bulk import BULK_BYTES, is_bulk
from node.store.message_tables import handover_predecessors, handovers
from node.store.messages import RecordedMessage
from node.store.metadata import Transaction
from node.store.records import Trouble
from node.store.states import HandoverState
from node.store.troubles import NO_TROUBLE, trouble_values
from node.store.verdicts import GuardVerdict, round_values
from runtime.columns import Upsert
from runtime.prepared import Prepared
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex

_EVENTS = {
    HandoverState.HANDED_OVER: EventName.HANDOVER_DONE,
    HandoverState.REFUSED: EventName.HANDOVER_REFUSED,
    HandoverState.PARKED: EventName.HANDOVER_PARKED,
}
_TIMED = (HandoverState.RESTING, HandoverState.HELD)


@dataclass(frozen=True, slots=True)
class ReadyHandover:
    """A hand-over that may be tried now. `is_bulk`: its attachments are large."""

    message_id: Sha256Hex
    code: AgencyCode
    lane: int
    attempts: int
    is_bulk: bool = False


# What each message needs is built once: to build a statement costs four times what it costs to run it.
_ADD = Prepared(
    Upsert(
        handovers,
        lambda adding: adding.on_conflict_do_nothing(
            index_elements=[handovers.c.message_id, handovers.c.code]
        ).returning(handovers.c.message_id),
    )
)
_LATEST_HOLD = Prepared(select(func.max(handovers.c.due_at)).where(handovers.c.state == HandoverState.HELD))
# One for each state: the least of each is the first entry of its range, where of several all would be gone through.
_NEXT_DUE = [Prepared(select(func.min(handovers.c.due_at)).where(handovers.c.state == state)) for state in _TIMED]
_BULK = is_bulk(handovers.c.message_id)
_READY = (
    select(handovers.c.message_id, handovers.c.code, handovers.c.lane, handovers.c.attempts, _BULK.label("is_bulk"))
    .where(handovers.c.state == HandoverState.READY, handovers.c.lane.between(bindparam("first"), bindparam("last")))
    .order_by(handovers.c.lane, handovers.c.sequence, handovers.c.code)
    .limit(bindparam("most"))
)
_READY_OF_ALL = Prepared(_READY)
_FINISH = (
    update(handovers)
    .where(
        handovers.c.message_id == bindparam("of_message"),
        handovers.c.code == bindparam("of_code"),
        handovers.c.state.in_(holds.WAITING),
    )
    .values(
        state=bindparam("as_state"),
        since=bindparam("at"),
        due_at=None,
        attempts=handovers.c.attempts + 1,
        **{name: bindparam(f"with_{name}") for name in NO_TROUBLE},
    )
)
_FINISH_GUARDED = Prepared(_FINISH.values(verdicts=bindparam("of_round")))
_FINISH_UNGUARDED = Prepared(_FINISH)


def add(
    transaction: Transaction,
    message: RecordedMessage,
    code: AgencyCode,
    *,
    sequence: int,
    at: datetime,
    hold_until: datetime,
) -> bool:
    """Queue the hand-over of `message` to `code`; False if it was queued before."""
    predecessors = holds.predecessors(transaction, message, code)
    added = _ADD.scalar(
        transaction,
        {
            "message_id": message.message_id,
            "code": code,
            "sequence": sequence,
            "state": HandoverState.HELD if predecessors else HandoverState.READY,
            "since": at,
            "lane": message.lane,
            "attempts": 0,
            "due_at": hold_until if predecessors else None,
        },
    )
    if added is None:
        return False
    for predecessor in predecessors:
        transaction.execute(
            insert(handover_predecessors).values(message_id=message.message_id, code=code, predecessor=predecessor)
        )
    holds.lift(transaction, [*predecessors, *message.envelope.extension.about], code, message.lane)
    return True


def ready(
    transaction: Transaction,
    *,
    limit: int,
    lanes: range,
    bulk_bytes: int,
    with_bulk: bool = True,
    of: Collection[AgencyCode] | None = None,
    besides: Collection[AgencyCode] = (),
) -> tuple[ReadyHandover, ...]:
    """What may be handed over now, the most urgent lane first, in it in the order of arrival.

    Only in `lanes`; only those `of` some agencies (None: of any), and none of those `besides`; bulk (attachments of
    `bulk_bytes` in all or more) may be left out.
    """
    asked = {"most": limit, "first": lanes.start, "last": lanes.stop - 1, BULK_BYTES: bulk_bytes}
    if of is None and not besides and with_bulk:
        return tuple(ReadyHandover(*row) for row in _READY_OF_ALL.all(transaction, asked))
    chosen: list[ColumnElement[bool]] = [] if with_bulk else [~_BULK]
    if of is not None:
        chosen.append(handovers.c.code.in_(of))
    if besides:
        chosen.append(handovers.c.code.not_in(besides))
    rows = transaction.execute(_READY.where(*chosen), asked)
    return tuple(ReadyHandover(row.message_id, row.code, row.lane, row.attempts, row.is_bulk) for row in rows)


def next_due(transaction: Transaction, now: datetime, *, hold: timedelta) -> datetime | None:
    """When the first resting hand-over is to be tried again, or the first hold ends; `now` if one lasts too long."""
    latest = _LATEST_HOLD.scalar(transaction, {})
    if latest is not None and latest > now + hold:
        return now
    due_times = [earliest.scalar(transaction, {}) for earliest in _NEXT_DUE]
    return min((due_at for due_at in due_times if due_at is not None), default=None)


def wake_due(transaction: Transaction, now: datetime, *, longest: timedelta, hold: timedelta) -> None:
    """Make ready what has rested until `now`, and end the holds that were to last until then.

    Nothing rests for more than `longest`: what is due later was put off before the clock was set back, and is tried.
    A hold that lasts for more than `hold`, because of that or of another setting, lasts so long from now on: ended at
    once, a recall would be handed over before the document that it recalls.
    """
    transaction.execute(
        update(handovers)
        .where(
            handovers.c.state == HandoverState.RESTING,
            (handovers.c.due_at <= now) | (handovers.c.due_at > now + longest),
        )
        .values(state=HandoverState.READY, due_at=None)
    )
    transaction.execute(
        update(handovers)
        .where(handovers.c.state == HandoverState.HELD, handovers.c.due_at > now + hold)
        .values(due_at=now + hold)
    )
    held = transaction.execute(
        update(handovers)
        .where(handovers.c.state == HandoverState.HELD, handovers.c.due_at <= now)
        .values(due_at=None)
        .returning(handovers.c.message_id, handovers.c.code)
    ).all()
    for row in held:
        holds.end(transaction, row.message_id, row.code)


def put_off(
    transaction: Transaction,
    message_id: Sha256Hex,
    code: AgencyCode,
    trouble: Trouble,
    *,
    at: datetime,
    due_at: datetime,
    verdicts: Sequence[GuardVerdict] = (),
) -> None:
    """Note a try that failed at the time `at`; the next is at `due_at`. No `verdicts`: those on record stay."""
    transaction.execute(
        update(handovers)
        .where(handovers.c.message_id == message_id, handovers.c.code == code, handovers.c.state.in_(holds.WAITING))
        .values(
            state=HandoverState.RESTING,
            since=at,
            due_at=due_at,
            attempts=handovers.c.attempts + 1,
            **trouble_values(trouble),
            **round_values(verdicts),
        )
    )


def finish(
    transaction: Transaction,
    message_id: Sha256Hex,
    code: AgencyCode,
    state: HandoverState,
    *,
    trouble: Trouble | None,
    at: datetime,
    verdicts: Sequence[GuardVerdict] = (),
) -> bool:
    """The hand-over has ended as `state`, and what waited for it may go on. False if it had ended before.

    No `verdicts`: those on record stay.
    """
    ended = {"of_message": message_id, "of_code": code, "as_state": state, "at": at} | _noted(trouble)
    if verdicts:
        changed = _FINISH_GUARDED.run(transaction, {**ended, "of_round": verdicts})
    else:
        changed = _FINISH_UNGUARDED.run(transaction, ended)
    if not changed:
        return False
    holds.release(transaction, message_id, code)
    events.tell(transaction, _EVENTS[state], message_id, at=at, code=code, text=trouble.text if trouble else None)
    return True


def _noted(trouble: Trouble | None) -> dict[str, object]:
    values = trouble_values(trouble) if trouble else NO_TROUBLE
    return {f"with_{name}": value for name, value in values.items()}


def drive_again(transaction: Transaction, message_id: Sha256Hex, code: AgencyCode | None, *, at: datetime) -> int:
    """Make parked hand-overs of a message (to one agency, or to all) ready once more; gives how many.

    The settings of now say by which adapter: an offer of before is over.
    """
    parked = [handovers.c.message_id == message_id, handovers.c.state == HandoverState.PARKED]
    if code is not None:
        parked.append(handovers.c.code == code)
    return transaction.execute(
        update(handovers)
        .where(*parked)
        .values(
            state=HandoverState.READY,
            since=at,
            attempts=0,
            adapter=None,
            lock_token=None,
            locked_until=None,
            **NO_TROUBLE,
        )
    ).rowcount
