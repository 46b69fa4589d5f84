"""Holds: what keeps a received message from the agency's software until something else has gone there.

A message that speaks of another is held until that one is handed over, refused, parked, or offered to software that
fetches both (`node.store.awaiting`); so is one that follows an earlier message of the same sender about the same
document. For what has not come it waits until the hold ends, or until nothing will come, as the hub says.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, select, update

from node.store.message_tables import about, handover_predecessors, handovers, outbox
from node.store.messages import RecordedMessage
from node.store.metadata import Transaction
from node.store.states import HandoverState
from runtime.prepared import Prepared
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex

WAITING = tuple(state for state in HandoverState if state.is_waiting)
#: What speaks of a message waits while that is in one of these. It may be offered beside one that is offered.
_BEFORE = (HandoverState.HELD, HandoverState.READY, HandoverState.RESTING)
_RELEASE = Prepared(
    delete(handover_predecessors)
    .where(
        handover_predecessors.c.predecessor == bindparam("of_message"),
        handover_predecessors.c.code == bindparam("of_code"),
    )
    .returning(handover_predecessors.c.message_id)
)


def predecessors(transaction: Transaction, message: RecordedMessage, code: AgencyCode) -> list[Sha256Hex]:
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


def lift(transaction: Transaction, message_ids: Sequence[Sha256Hex], code: AgencyCode, lane: int) -> None:
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
        lift(transaction, [message_id], code, lane)


def end(transaction: Transaction, message_id: Sha256Hex, code: AgencyCode) -> None:
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
