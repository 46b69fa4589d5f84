"""Hand-overs that await software which fetches its messages itself: offered, locked, settled.

An offer belongs to one adapter. What waited for an offered message goes on: it is offered after it, so that software
which is slow with a document still learns of its recall.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, literal, or_, select, tuple_, update

from adapters.sdk import DeliveryKey, EventName
from node.store import events
from node.store.holds import lift_to_successors, release
from node.store.message_tables import about, handovers, inbox, messages
from node.store.messages import facts_of
from node.store.metadata import Transaction
from node.store.records import MessageFacts, Trouble
from node.store.states import HandoverState, MessageKind
from node.store.troubles import NO_TROUBLE, trouble_in
from node.store.verdicts import GuardVerdict, round_values
from runtime.columns import Instant
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex

_OPEN = (HandoverState.AWAITING, HandoverState.PARKED)
#: On their way to an adapter, which need not be the one that offered them before.
_NOT_OFFERED = (HandoverState.HELD, HandoverState.READY, HandoverState.RESTING)
_ORDER = (handovers.c.lane, handovers.c.offered_at, handovers.c.sequence, handovers.c.code)
_NO_LOCK = {"lock_token": None, "locked_until": None}
#: Longer locks are cut: software that has died is not waited for until the next day.
LONGEST_LOCK = timedelta(hours=12)
_MOMENT = timedelta(microseconds=1)
_TROUBLE_COLUMNS = ("trouble_code", "trouble_text", "trouble_element", "trouble_line", "trouble_mend")
_HANDOVER_COLUMNS = ("code", "state", "lane", "sequence", "offered_at", "locked_until", *_TROUBLE_COLUMNS)


@dataclass(frozen=True, slots=True)
class Place:
    """A hand-over's place in the order in which software is to see them: what was offered first, first."""

    lane: int
    offered_at: datetime
    sequence: int
    code: AgencyCode


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitingRow:
    """An offered message; `trouble` if it is parked."""

    message: MessageFacts
    place: Place
    received_at: datetime
    locked_until: datetime | None
    trouble: Trouble | None


@dataclass(frozen=True, slots=True)
class Offer:
    """A hand-over as the adapter that settles it sees it; who settles it shows `lock` while it `is_locked`."""

    state: HandoverState
    lane: int
    attempts: int
    lock: str | None
    locked_until: datetime | None
    verdicts: tuple[GuardVerdict, ...]


def offer(
    transaction: Transaction, key: DeliveryKey, adapter: str, *, at: datetime, verdicts: Sequence[GuardVerdict] = ()
) -> bool:
    """Leave a message to the software behind `adapter`; what waited for it goes on. False if it has ended meanwhile."""
    changed = transaction.execute(
        update(handovers)
        .where(_is(key), handovers.c.state == HandoverState.READY)
        .values(
            state=HandoverState.AWAITING,
            since=at,
            due_at=None,
            attempts=handovers.c.attempts + 1,
            adapter=adapter,
            offered_at=func.coalesce(handovers.c.offered_at, literal(_place_in_time(transaction, key, at), Instant)),
            **_NO_LOCK,
            **NO_TROUBLE,
            **round_values(verdicts),
        )
    ).rowcount
    if changed:
        lift_to_successors(transaction, key.message_id, key.recipient)
        release(transaction, key.message_id, key.recipient)
        events.tell(transaction, EventName.HANDOVER_AWAITING, key.message_id, at=at, code=key.recipient)
    return bool(changed)


def _place_in_time(transaction: Transaction, key: DeliveryKey, at: datetime) -> datetime:
    """`at`, or a moment after the offer of what the message speaks of: the clock may have been set back since then."""
    spoken_of = select(about.c.about).where(about.c.message_id == key.message_id)
    before: datetime | None = transaction.execute(
        select(func.max(handovers.c.offered_at)).where(
            handovers.c.message_id.in_(spoken_of), handovers.c.code == key.recipient
        )
    ).scalar_one()
    return at if before is None else max(at, before + _MOMENT)


def is_locked(until: datetime | None, at: datetime) -> bool:
    """Whether a lock until then holds at `at`. One that ends later than any can was made by a clock that was wrong."""
    return until is not None and at < until <= at + LONGEST_LOCK


def offered(
    transaction: Transaction,
    adapter: str,
    *,
    recipients: Collection[AgencyCode],
    kind: MessageKind | None,
    parked: bool,
    unlocked_at: datetime | None,
    after: Place | None,
    limit: int,
) -> Sequence[AwaitingRow]:
    """What awaits the software behind `adapter`, the most urgent first; with what it could not take, if `parked`.

    Only what nobody has locked at `unlocked_at`, if given.
    """
    columns = handovers.c
    statement = (
        select(messages, *(_of_handover(name) for name in _HANDOVER_COLUMNS), inbox.c.received_at)
        .join_from(handovers, messages, messages.c.message_id == columns.message_id)
        .join(inbox, inbox.c.message_id == columns.message_id)
        .where(*_chosen(adapter, recipients, kind, parked=parked))
        .order_by(*_ORDER)
        .limit(limit)
    )
    if unlocked_at is not None:
        statement = statement.where(_is_free(unlocked_at))
    if after is not None:
        seen = (after.lane, after.offered_at, after.sequence, after.code)
        behind = tuple_(*(literal(value, column.type) for value, column in zip(seen, _ORDER, strict=True)))
        statement = statement.where(tuple_(*_ORDER) > behind)
    rows = transaction.execute(statement).all()
    spoken_of: dict[Sha256Hex, tuple[Sha256Hex, ...]] = {}
    for row in transaction.execute(
        select(about.c.message_id, about.c.about)
        .where(about.c.message_id.in_({row.message_id for row in rows}))
        .order_by(about.c.position)
    ):
        spoken_of[row.message_id] = (*spoken_of.get(row.message_id, ()), row.about)
    return [
        AwaitingRow(
            message=facts_of(row, spoken_of.get(row.message_id, ())),
            place=Place(row.handover_lane, row.handover_offered_at, row.handover_sequence, row.handover_code),
            received_at=row.received_at,
            locked_until=row.handover_locked_until,
            trouble=trouble_in(row) if row.handover_state == HandoverState.PARKED else None,
        )
        for row in rows
    ]


def count(
    transaction: Transaction, adapter: str, *, recipients: Collection[AgencyCode], kind: MessageKind | None
) -> int:
    """How many messages await the software behind `adapter`."""
    counted = select(func.count()).select_from(handovers)
    if kind is not None:
        counted = counted.join(messages, messages.c.message_id == handovers.c.message_id)
    return transaction.execute(counted.where(*_chosen(adapter, recipients, kind, parked=False))).scalar_one()


def _chosen(
    adapter: str, recipients: Collection[AgencyCode], kind: MessageKind | None, *, parked: bool
) -> list[ColumnElement[bool]]:
    states = _OPEN if parked else (HandoverState.AWAITING,)
    chosen = [handovers.c.state.in_(states), handovers.c.adapter == adapter]
    if recipients:
        chosen.append(handovers.c.code.in_(recipients))
    if kind is not None:
        chosen.append(messages.c.kind == kind)
    return chosen


def lock(
    transaction: Transaction,
    adapters: Collection[str],
    keys: Iterable[DeliveryKey],
    *,
    token: str,
    at: datetime,
    until: datetime,
) -> list[DeliveryKey]:
    """Lock those of `keys` that await the software behind `adapters` and that nobody else has locked; gives them."""
    taken = []
    for key in keys:
        is_ours = or_(_is_free(at), handovers.c.lock_token == token)
        changed = transaction.execute(
            update(handovers)
            .where(_is(key), handovers.c.adapter.in_(adapters), handovers.c.state == HandoverState.AWAITING, is_ours)
            .values(lock_token=token, locked_until=until)
        )
        if changed.rowcount:
            taken.append(key)
    return taken


def unlock(transaction: Transaction, keys: Iterable[DeliveryKey], *, token: str) -> None:
    """Let go of those of `keys` that are locked with `token`."""
    for key in keys:
        transaction.execute(update(handovers).where(_is(key), handovers.c.lock_token == token).values(**_NO_LOCK))


def offer_of(transaction: Transaction, adapters: Collection[str], key: DeliveryKey) -> Offer | None:
    """None if the message is not offered to the software behind `adapters`, nor was when its hand-over ended."""
    columns = handovers.c
    row = transaction.execute(
        select(
            columns.state, columns.lane, columns.attempts, columns.lock_token, columns.locked_until, columns.verdicts
        ).where(_is(key), columns.adapter.in_(adapters), columns.state.not_in(_NOT_OFFERED))
    ).one_or_none()
    if row is None:
        return None
    return Offer(HandoverState(row.state), row.lane, row.attempts, row.lock_token, row.locked_until, row.verdicts)


@dataclass(frozen=True, slots=True)
class Offered:
    """A message that awaits the software behind `adapter`."""

    message: MessageFacts
    code: AgencyCode
    adapter: str


def offers(transaction: Transaction, *, after: DeliveryKey | None, limit: int) -> list[Offered]:
    """Up to `limit` offers, whosever, by message and agency: those behind `after`. Their messages without `about`."""
    columns = handovers.c
    order = (columns.message_id, columns.code)
    statement = (
        select(messages, columns.code, columns.adapter)
        .join_from(handovers, messages, messages.c.message_id == columns.message_id)
        .where(columns.state == HandoverState.AWAITING)
        .order_by(*order)
        .limit(limit)
    )
    if after is not None:
        seen = (after.message_id, after.recipient)
        behind = tuple_(*(literal(value, column.type) for value, column in zip(seen, order, strict=True)))
        statement = statement.where(tuple_(*order) > behind)
    return [Offered(facts_of(row, ()), row.code, row.adapter) for row in transaction.execute(statement)]


def offer_again(transaction: Transaction, key: DeliveryKey, *, at: datetime) -> None:
    """Offer what its software could not take once more, to that software, which has changed its mind."""
    transaction.execute(
        update(handovers)
        .where(_is(key), handovers.c.state == HandoverState.PARKED)
        .values(state=HandoverState.AWAITING, since=at, attempts=0, **NO_TROUBLE)
    )


def take_back(transaction: Transaction, keys: Iterable[DeliveryKey], *, at: datetime) -> None:
    """Make offered messages ready to be handed over again."""
    for key in keys:
        transaction.execute(
            update(handovers)
            .where(_is(key), handovers.c.state == HandoverState.AWAITING)
            .values(state=HandoverState.READY, since=at, adapter=None, offered_at=None, **_NO_LOCK)
        )


def _of_handover(name: str) -> ColumnElement[object]:
    """A column beside those of `messages`, some of which have the same names."""
    column = handovers.c[name]
    return column if name in _TROUBLE_COLUMNS else column.label(f"handover_{name}")


def _is(key: DeliveryKey) -> ColumnElement[bool]:
    return and_(handovers.c.message_id == key.message_id, handovers.c.code == key.recipient)


def _is_free(at: datetime) -> ColumnElement[bool]:
    """As `is_locked` denies it."""
    until = handovers.c.locked_until
    return or_(until.is_(None), until <= at, until > at + LONGEST_LOCK)
