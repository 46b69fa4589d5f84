"""Work that is to be done by some process of the hub: written with what makes it necessary, announced, done, dropped.

The rows only say what to look at. Whether anything is left to do, the tables of the exchange know: a row too many costs
a look, and one that is missing is put back by `adopt`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Row, String, cast, delete, exists, func, or_, select, update

from hub.store import mailboxes
from hub.store.directory_tables import agencies
from hub.store.exchange_tables import fanout_batches, messages
from hub.store.metadata import Transaction
from hub.store.pushing import BreakerState
from hub.store.watch_tables import push_endpoints
from hub.store.work_tables import work
from runtime.columns import insert_or

_work = work.c


class WorkKind(StrEnum):
    """Deliveries to write, or mail to push."""

    FANOUT = "fanout"
    PUSH = "push"


@dataclass(frozen=True, slots=True)
class Work:
    """A piece of work. `subject`: a message's number, or a connection; `code`: of the agency it is about."""

    work: int
    kind: WorkKind
    subject: str
    code: str
    dead_since: datetime | None


#: The columns of `Work`.
_WORK = select(_work.work, _work.kind, _work.subject, _work.code, _work.dead_since)


def announce(transaction: Transaction, kind: WorkKind, subject: str, code: str, *, at: datetime) -> None:
    """Put work into the outbox, to be announced once this transaction is committed; none twice."""
    statement = insert_or(transaction, work).values(kind=kind, subject=subject, code=code, due_at=at, touched_at=at)
    transaction.execute(statement.on_conflict_do_nothing(index_elements=[_work.kind, _work.subject]))


def claim_due(transaction: Transaction, *, at: datetime, until: datetime, most: int) -> list[Work]:
    """Work to announce now, kept from other processes until `until`; the oldest first."""
    found = [
        _of(row)
        for row in transaction.execute(
            _WORK.where(_work.published_at.is_(None), _work.due_at <= at).order_by(_work.due_at, _work.work).limit(most)
        )
    ]
    if found:
        transaction.execute(
            update(work).where(_work.work.in_([each.work for each in found])).values(due_at=until, touched_at=at)
        )
    return found


def next_due(transaction: Transaction) -> datetime | None:
    """When the next work is to be announced; None if none is."""
    due: datetime | None = transaction.scalar(select(func.min(_work.due_at)).where(_work.published_at.is_(None)))
    return due


def published(transaction: Transaction, numbers: Collection[int], *, at: datetime) -> None:
    """The broker has these: they are announced no more, until they are `lost`."""
    transaction.execute(update(work).where(_work.work.in_(numbers)).values(published_at=at, touched_at=at))


def find(transaction: Transaction, kind: WorkKind, subject: str) -> Work | None:
    """A piece of work; None if it is done."""
    row = transaction.execute(_WORK.where(_work.kind == kind, _work.subject == subject)).one_or_none()
    return None if row is None else _of(row)


def touch(transaction: Transaction, number: int, *, at: datetime, error: str | None = None) -> None:
    """Note that somebody has it in hand; `error` says how it failed last."""
    values = {"touched_at": at} if error is None else {"touched_at": at, "last_error": error}
    transaction.execute(update(work).where(_work.work == number).values(values))


def reschedule(transaction: Transaction, number: int, *, due_at: datetime, at: datetime, held: bool) -> None:
    """Announce it again at `due_at`. `held`: mail that comes does not hurry it."""
    transaction.execute(
        update(work)
        .where(_work.work == number)
        .values(due_at=due_at, published_at=None, touched_at=at, held=held, last_error=None, dead_since=None)
    )


def drop(transaction: Transaction, number: int) -> None:
    """It is done."""
    transaction.execute(delete(work).where(_work.work == number))


def set_aside(transaction: Transaction, number: int, *, at: datetime) -> str | None:
    """Note that it failed too often; gives how it failed last, None if it is done, or was set aside before."""
    row = transaction.execute(
        select(_work.last_error).where(_work.work == number, _work.dead_since.is_(None))
    ).one_or_none()
    if row is None:
        return None
    transaction.execute(update(work).where(_work.work == number).values(dead_since=at, touched_at=at))
    return str(row.last_error or "It was handed out again and again, and no process came to its end.")


def adopt(transaction: Transaction, *, at: datetime) -> None:
    """Bring the outbox in line with what there is to do: rows that are missing are written, those of no use dropped."""
    number = cast(fanout_batches.c.message, String)
    has_row = exists().where(_work.kind == WorkKind.FANOUT, _work.subject == number)
    orphans = (
        select(number, messages.c.sender)
        .distinct()
        .join_from(fanout_batches, messages, messages.c.message == fanout_batches.c.message)
    )
    for subject, sender in transaction.execute(orphans.where(~has_row)).all():
        announce(transaction, WorkKind.FANOUT, subject, sender, at=at)
    endpoint = push_endpoints.c.connection
    pushed = exists().where(_work.kind == WorkKind.PUSH, _work.subject == endpoint)
    for connection in transaction.scalars(select(endpoint).where(~pushed)).all():
        announce(transaction, WorkKind.PUSH, connection, seat_of(transaction, connection) or connection, at=at)
    transaction.execute(delete(work).where(_work.kind == WorkKind.PUSH, ~exists().where(endpoint == _work.subject)))


def is_out_of_line(transaction: Transaction, *, at: datetime, furthest: timedelta) -> bool:
    """True if `adopt` or `bring_near` would write anything."""
    fanout_rows = select(_work.subject).where(_work.kind == WorkKind.FANOUT)
    push_rows = select(_work.subject).where(_work.kind == WorkKind.PUSH)
    endpoint = push_endpoints.c.connection
    questions = (
        select(fanout_batches.c.message).where(cast(fanout_batches.c.message, String).not_in(fanout_rows)),
        select(endpoint).where(endpoint.not_in(push_rows)),
        select(_work.work).where(_work.kind == WorkKind.PUSH, _work.subject.not_in(select(endpoint))),
        select(_work.work).where(_work.published_at.is_(None), _work.due_at > at + furthest),
    )
    return any(transaction.scalar(question.limit(1)) is not None for question in questions)


def finished_fanouts(transaction: Transaction) -> list[Work]:
    """Work of which the deliveries are all written, by whomever."""
    left = exists().where(cast(fanout_batches.c.message, String) == _work.subject)
    rows = transaction.execute(_WORK.where(_work.kind == WorkKind.FANOUT, ~left))
    return [_of(row) for row in rows]


def lost(transaction: Transaction, kind: WorkKind, *, before: datetime, dead_before: datetime) -> list[int]:
    """Announced work of which nobody gave a sign since `before`; since `dead_before`, where it was set aside."""
    quiet = _work.touched_at <= before
    given_up = _work.dead_since.is_not(None)
    rows = transaction.scalars(
        select(_work.work).where(
            _work.kind == kind,
            _work.published_at.is_not(None),
            (~given_up & quiet) | (given_up & (_work.touched_at <= dead_before)),
        )
    )
    return list(rows)


def announce_again(transaction: Transaction, numbers: Collection[int], *, at: datetime) -> None:
    """Announce work now, as if it never had been: the broker has lost it, or never had it."""
    transaction.execute(update(work).where(_work.work.in_(numbers)).values(published_at=None, due_at=at, touched_at=at))


def bring_near(transaction: Transaction, *, at: datetime, furthest: timedelta) -> None:
    """Make due what is put off further than any wait: a clock that has been set back since did that."""
    transaction.execute(
        update(work).where(_work.published_at.is_(None), _work.due_at > at + furthest).values(due_at=at)
    )


def idle_pushes(transaction: Transaction, *, at: datetime) -> Sequence[Work]:
    """Pushes that wait for mail: it comes now, or they are due at a later time anyway."""
    rows = transaction.execute(
        _WORK.where(_work.kind == WorkKind.PUSH, _work.published_at.is_(None), _may_hurry(at), _work.due_at > at)
    )
    return [_of(row) for row in rows]


def hurry(transaction: Transaction, connections: Collection[str], *, at: datetime) -> bool:
    """Announce the pushes to `connections` now rather than at their time; False if there are none to hurry."""
    hurried = transaction.execute(
        update(work)
        .where(
            _work.kind == WorkKind.PUSH,
            _work.subject.in_(connections),
            _work.published_at.is_(None),
            _may_hurry(at),
            _work.due_at > at,
        )
        .values(due_at=at)
    )
    return bool(hurried.rowcount)


def _may_hurry(at: datetime) -> ColumnElement[bool]:
    """A push that nothing holds; or its breaker may be tried by now, because the operator set the endpoint anew."""
    breaker = push_endpoints.c
    is_due = exists().where(
        breaker.connection == _work.subject, breaker.state != BreakerState.CLOSED, breaker.probe_at <= at
    )
    return or_(~_work.held, is_due)


def with_mail(transaction: Transaction, pushes: Sequence[Work], *, at: datetime, furthest: timedelta) -> list[str]:
    """The connections among those of `pushes` for which something waits."""
    return [each.subject for each in pushes if mailboxes.waits(transaction, each.subject, at=at, furthest=furthest)]


def seat_of(transaction: Transaction, connection: str) -> str | None:
    """The most general of the codes that `connection` serves: above the others in order; None if it serves none."""
    code: str | None = transaction.scalar(select(func.min(agencies.c.code)).where(agencies.c.connection == connection))
    return code


def counts(transaction: Transaction) -> dict[tuple[WorkKind, bool], int]:
    """How much work there is by kind, and whether it was set aside."""
    dead = _work.dead_since.is_not(None)
    rows = transaction.execute(select(_work.kind, dead, func.count()).group_by(_work.kind, dead))
    return {(WorkKind(kind), bool(is_dead)): number for kind, is_dead, number in rows}


def _of(row: Row[int, str, str, str, datetime | None]) -> Work:
    number, kind, subject, code, dead_since = row
    return Work(number, WorkKind(kind), subject, code, dead_since)
