"""Deadlines of documents that came: until when each of our agencies is to have finished them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, case, func, select, update

from adapters.sdk import EventName
from node.store import events
from node.store.business_tables import deadlines
from node.store.messages import RecordedMessage
from node.store.metadata import Transaction
from node.store.records import DeadlineRow
from node.store.states import DeadlineStage
from runtime.columns import insert_or
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.message import BusinessType, Document

#: Documents that are work by themselves. A recall is answered; an update moves the deadline of what it updates.
_WORK: Final = frozenset({BusinessType.NEW, BusinessType.REPLACE})

#: A clock that is set back by this much tells nothing twice.
_CLOCK_STEP: Final = timedelta(minutes=1)

_EVENTS: Final = {DeadlineStage.NEAR: EventName.DEADLINE_NEAR, DeadlineStage.PAST: EventName.DEADLINE_PAST}
_UNSETTLED: Final = (DeadlineStage.AHEAD, DeadlineStage.NEAR, DeadlineStage.PAST)


def set_for(transaction: Transaction, message: RecordedMessage, codes: Iterable[AgencyCode]) -> None:
    """If `message` is a document with a deadline that names a day, each of `codes` has it from now on."""
    content = message.envelope.message
    due_at = content.due_date.end if isinstance(content, Document) and content.due_date else None
    if due_at is None or not isinstance(content, Document) or content.business_type not in _WORK:
        return
    for code in codes:
        transaction.execute(
            insert_or(transaction, deadlines).on_conflict_do_nothing(),
            {"message_id": message.message_id, "code": code, "due_at": due_at, "stage": DeadlineStage.AHEAD},
        )


def move(transaction: Transaction, message_id: Sha256Hex, code: AgencyCode, due_at: datetime) -> None:
    """The document is due at another time; what was told of the one before no longer holds."""
    values = {"due_at": due_at, "stage": DeadlineStage.AHEAD, "near_at": None, "past_at": None}
    transaction.execute(
        insert_or(transaction, deadlines)
        .values(message_id=message_id, code=code, **values)
        .on_conflict_do_update(
            index_elements=[deadlines.c.message_id, deadlines.c.code],
            set_=values,
            where=deadlines.c.stage != DeadlineStage.SETTLED,
        )
    )


def settle(transaction: Transaction, message_ids: Collection[Sha256Hex], code: AgencyCode) -> None:
    """`code` has nothing left to do with these documents."""
    transaction.execute(
        update(deadlines)
        .where(deadlines.c.message_id.in_(message_ids), deadlines.c.code == code)
        .values(stage=DeadlineStage.SETTLED)
    )


def unsettle(transaction: Transaction, message_id: Sha256Hex, code: AgencyCode) -> None:
    """`code` has something to do with the document again; what was told of its deadline stays told."""
    told = case(
        (deadlines.c.past_at.is_not(None), DeadlineStage.PAST),
        (deadlines.c.near_at.is_not(None), DeadlineStage.NEAR),
        else_=DeadlineStage.AHEAD,
    )
    transaction.execute(
        update(deadlines)
        .where(
            deadlines.c.message_id == message_id,
            deadlines.c.code == code,
            deadlines.c.stage == DeadlineStage.SETTLED,
        )
        .values(stage=told)
    )


def tell(transaction: Transaction, now: datetime, *, near: timedelta, limit: int) -> tuple[DeadlineRow, ...]:
    """Up to `limit` deadlines that have come near or are past since that was last told; noted as told with this.

    One that is past by now is told as past alone. What was told by a clock that was ahead is told again in its time.
    """
    _put_back(transaction, now, near=near)
    told: list[DeadlineRow] = []
    for stage, before, until, column in (
        (DeadlineStage.PAST, (DeadlineStage.AHEAD, DeadlineStage.NEAR), now, "past_at"),
        (DeadlineStage.NEAR, (DeadlineStage.AHEAD,), now + near, "near_at"),
    ):
        found = transaction.execute(
            select(deadlines.c.message_id, deadlines.c.code)
            .where(deadlines.c.stage.in_(before), deadlines.c.due_at < until)
            .order_by(deadlines.c.due_at)
            .limit(limit - len(told))
        ).all()
        for row in found:
            changed = transaction.execute(
                update(deadlines)
                .where(deadlines.c.message_id == row.message_id, deadlines.c.code == row.code)
                .values(stage=stage, **{column: now})
                .returning(*deadlines.c)
            ).one()
            told.append(_row(changed))
            events.tell(transaction, _EVENTS[stage], row.message_id, at=now, code=row.code)
    return tuple(told)


def _put_back(transaction: Transaction, now: datetime, *, near: timedelta) -> None:
    """What was told too early, by more than clocks are set by every day, has not been told."""
    stage, due_at = deadlines.c.stage, deadlines.c.due_at
    before = case((deadlines.c.near_at.is_(None), DeadlineStage.AHEAD), else_=DeadlineStage.NEAR)
    transaction.execute(
        update(deadlines)
        .where(stage == DeadlineStage.PAST, due_at > now + _CLOCK_STEP)
        .values(stage=before, past_at=None)
    )
    transaction.execute(
        update(deadlines)
        .where(stage == DeadlineStage.NEAR, due_at > now + near + _CLOCK_STEP)
        .values(stage=DeadlineStage.AHEAD, near_at=None)
    )


def unsettled(transaction: Transaction, *, limit: int) -> tuple[DeadlineRow, ...]:
    """What is not done yet, the earliest deadline first."""
    rows = transaction.execute(
        select(deadlines)
        .where(deadlines.c.stage.in_(_UNSETTLED))
        .order_by(deadlines.c.due_at, deadlines.c.message_id, deadlines.c.code)
        .limit(limit)
    )
    return tuple(_row(row) for row in rows)


def of(transaction: Transaction, message_ids: Collection[Sha256Hex]) -> tuple[DeadlineRow, ...]:
    """The deadlines of these documents."""
    rows = transaction.execute(select(deadlines).where(deadlines.c.message_id.in_(message_ids)))
    return tuple(_row(row) for row in rows)


def counts(transaction: Transaction) -> dict[DeadlineStage, int]:
    """How many are at each stage but `settled`, which only grows."""
    rows = transaction.execute(
        select(deadlines.c.stage, func.count().label("number"))
        .where(deadlines.c.stage.in_(_UNSETTLED))
        .group_by(deadlines.c.stage)
    )
    return dict.fromkeys(_UNSETTLED, 0) | {DeadlineStage(row.stage): row.number for row in rows}


def _row(row: Row[tuple[Any, ...]]) -> DeadlineRow:
    return DeadlineRow(
        message_id=row.message_id,
        code=row.code,
        due_at=row.due_at,
        stage=DeadlineStage(row.stage),
        near_at=row.near_at,
        past_at=row.past_at,
    )
