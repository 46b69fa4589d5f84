"""Hand-overs: each received message on its way to each agency's software.

A message that speaks of another is held until that one is handed over, refused, parked, or offered to software that
fetches both (`node.store.awaiting`); so is one that follows an
earlier message of the same sender about the same document. For what has not come it waits until the hold ends, or until
nothing will come, as the hub says.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, bindparam, delete, func, insert, select, update

from adapters.sdk import EventName
from node.store import events
from node.store.bulk import BULK_BYTES, is_bulk
from node.store.message_tables import about, handover_predecessors, handovers, outbox
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

WAITING = tuple(state for state in HandoverState if state.is_waiting)
#: What speaks of a message waits while that is in one of these. It may be offered beside one that is offered.
_BEFORE = (HandoverState.HELD, HandoverState.READY, HandoverState.RESTING)
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
_NEXT_DUE = Prepared(
    select(func.min(handovers.c.due_at)).where(handovers.c.state.in_(_TIMED)).group_by(handovers.c.state)
)
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
        handovers.c.state.in_(WAITING),
    )
    .values(
        state=bindparam("as_state"),
        since=bindparam("at"),
        due_at=None,
        attempts=handovers.c.attempts + 1,
        **{name: bindparam(f"with_{name}") for name in NO_TROUBLE},
    )
)
_RELEASE = Prepared(
    delete(handover_predecessors)
    .where(
        handover_predecessors.c.predecessor == bindparam("of_message"),
        handover_predecessors.c.code == bindparam("of_code"),
    )
    .returning(handover_predecessors.c.message_id)
)


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
    predecessors = _predecessors(transaction, message, code)
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
    _lift(transaction, [*predecessors, *message.envelope.extension.about], code, message.lane)
    return True


def _predecessors(transaction: Transaction, message: RecordedMessage, code: AgencyCode) -> list[Sha256Hex]:
    """What must be handed over to `code` before `message`: whatever it speaks of, unless that is ours or is done."""
    spoken_of = list(message.envelope.extension.about)
    if not spoken_of:
        return []
    done = select(handovers.c.message_id).where(
        handovers.c.message_id.in_(spoken_of), handovers.c.code == code, handovers.c.state.not_in(_BEFORE)
    )
    ours = select(outbox.c.message_id).where(outbox.c.message_id.in_(spoken_of))
    settled = set(transaction.scalars(done.union_all(ours)))
    earlier = (
        select(handovers.c.message_id)
        .join(about, about.c.message_id == handovers.c.message_id)
        .where(
            about.c.about.in_(spoken_of),
            about.c.sender == message.sender,
            handovers.c.code == code,
            handovers.c.state.in_(_BEFORE),
            handovers.c.message_id != message.message_id,
        )
        .distinct()
    )
    return [*(digest for digest in spoken_of if digest not in settled), *transaction.scalars(earlier)]


def _lift(transaction: Transaction, message_ids: Sequence[Sha256Hex], code: AgencyCode, lane: int) -> None:
    """Let what an urgent message waits for be as urgent as that one, all the way up."""
    above = message_ids
    while above:
        lifted = transaction.scalars(
            update(handovers)
            .where(
                handovers.c.message_id.in_(above),
                handovers.c.code == code,
                handovers.c.lane > lane,
                handovers.c.state.in_(WAITING),
            )
            .values(lane=lane)
            .returning(handovers.c.message_id)
        ).all()
        above = (
            lifted
            and transaction.scalars(
                select(handover_predecessors.c.predecessor).where(
                    handover_predecessors.c.message_id.in_(lifted), handover_predecessors.c.code == code
                )
            ).all()
        )


def lift_to_successors(transaction: Transaction, message_id: Sha256Hex, code: AgencyCode) -> None:
    """Let a message that came after what speaks of it be as urgent as that."""
    lane = transaction.scalar(
        select(func.min(handovers.c.lane))
        .join(
            handover_predecessors,
            (handover_predecessors.c.message_id == handovers.c.message_id)
            & (handover_predecessors.c.code == handovers.c.code),
        )
        .where(handover_predecessors.c.predecessor == message_id, handover_predecessors.c.code == code)
    )
    if lane is not None:
        _lift(transaction, [message_id], code, lane)


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
    due_times = _NEXT_DUE.scalars(transaction, {})
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
        _end_hold(transaction, row.message_id, row.code)


def _end_hold(transaction: Transaction, message_id: Sha256Hex, code: AgencyCode) -> None:
    """Wait no longer for what has not come. What is here, and only not handed over yet, still goes first."""
    here = select(handovers.c.message_id).where(
        handovers.c.message_id == handover_predecessors.c.predecessor, handovers.c.code == code
    )
    transaction.execute(
        delete(handover_predecessors).where(
            handover_predecessors.c.message_id == message_id, handover_predecessors.c.code == code, ~here.exists()
        )
    )
    _free(transaction, [message_id], code)


def release(transaction: Transaction, predecessor: Sha256Hex, code: AgencyCode) -> int:
    """`predecessor` will never be handed over to `code`: what waited for it goes on at once; gives how many did."""
    successors = _RELEASE.scalars(transaction, {"of_message": predecessor, "of_code": code})
    _free(transaction, successors, code)
    return len(successors)


def _free(transaction: Transaction, message_ids: Sequence[Sha256Hex], code: AgencyCode) -> None:
    """Make ready those of `message_ids` that wait for nothing any more."""
    if not message_ids:
        return
    still_waiting = select(handover_predecessors.c.message_id).where(
        handover_predecessors.c.message_id.in_(message_ids), handover_predecessors.c.code == code
    )
    transaction.execute(
        update(handovers)
        .where(
            handovers.c.message_id.in_(message_ids),
            handovers.c.code == code,
            handovers.c.state == HandoverState.HELD,
            handovers.c.message_id.not_in(still_waiting),
        )
        .values(state=HandoverState.READY, due_at=None)
    )


def awaited(transaction: Transaction, *, after: Sha256Hex, limit: int) -> dict[Sha256Hex, list[AgencyCode]]:
    """Messages that have not come, and for which of our agencies something is held until they do.

    The first `limit` messages of those whose ids come after `after`, in order, each with all the agencies.
    """
    here = select(handovers.c.message_id).where(
        handovers.c.message_id == handover_predecessors.c.predecessor,
        handovers.c.code == handover_predecessors.c.code,
    )
    first = transaction.scalars(
        select(handover_predecessors.c.predecessor)
        .where(handover_predecessors.c.predecessor > after, ~here.exists())
        .distinct()
        .order_by(handover_predecessors.c.predecessor)
        .limit(limit)
    )
    found: dict[Sha256Hex, list[AgencyCode]] = {message_id: [] for message_id in first}
    rows = transaction.execute(
        select(handover_predecessors.c.predecessor, handover_predecessors.c.code)
        .where(handover_predecessors.c.predecessor.in_(found), ~here.exists())
        .distinct()
        .order_by(handover_predecessors.c.predecessor, handover_predecessors.c.code)
    )
    for row in rows:
        found[row.predecessor].append(row.code)
    return found


def missing(transaction: Transaction, spoken_of: Sequence[Sha256Hex], code: AgencyCode) -> tuple[Sha256Hex, ...]:
    """Those of `spoken_of` that neither came for `code` nor are ours, in their order."""
    if not spoken_of:
        return ()
    came = select(handovers.c.message_id).where(handovers.c.message_id.in_(spoken_of), handovers.c.code == code)
    ours = select(outbox.c.message_id).where(outbox.c.message_id.in_(spoken_of))
    known = set(transaction.scalars(came.union_all(ours)))
    return tuple(digest for digest in spoken_of if digest not in known)


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
        .where(handovers.c.message_id == message_id, handovers.c.code == code, handovers.c.state.in_(WAITING))
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
    finish = _FINISH.values(**round_values(verdicts)) if verdicts else _FINISH
    ended = {"of_message": message_id, "of_code": code, "as_state": state, "at": at}
    changed = transaction.execute(finish, ended | _noted(trouble)).rowcount
    if not changed:
        return False
    release(transaction, message_id, code)
    events.tell(transaction, _EVENTS[state], message_id, at=at, code=code, text=trouble.text if trouble else None)
    return True


def _noted(trouble: Trouble | None) -> dict[str, object]:
    values = trouble_values(trouble) if trouble else NO_TROUBLE
    return {f"with_{name}": value for name, value in values.items()}


def drive_again(transaction: Transaction, message_id: Sha256Hex, code: AgencyCode | None, *, at: datetime) -> int:
    """Make parked hand-overs of a message (to one agency, or to all) ready once more; gives how many."""
    parked = [handovers.c.message_id == message_id, handovers.c.state == HandoverState.PARKED]
    if code is not None:
        parked.append(handovers.c.code == code)
    return transaction.execute(
        update(handovers).where(*parked).values(state=HandoverState.READY, since=at, attempts=0, **NO_TROUBLE)
    ).rowcount
