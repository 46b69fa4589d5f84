"""The log of events: each is written in the transaction of what it tells of.

A number is one more than the last, so numbers grow in the order of commits, without gaps: whoever has seen one misses
nothing before it, and sees by a gap that what it missed is no longer kept. (On PostgreSQL two transactions that would
take the same number collide, and one is run again.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from sqlalchemy import bindparam, delete, func, insert, select

from adapters.sdk import EventName
from node.store.event_tables import events
from node.store.message_tables import about, messages
from node.store.messages import facts_of
from node.store.metadata import Code, Transaction
from node.store.records import MessageFacts
from node.store.states import MessageKind
from runtime.columns import Instant
from runtime.prepared import Prepared
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex

#: Events that are kept at least. Some 25 MB.
KEPT: Final = 100_000
#: How many more come before old ones are dropped: to drop one with each would cost as much as to write it.
_SLACK: Final = 1024


@dataclass(frozen=True, slots=True)
class EventRow:
    number: int
    at: datetime
    name: EventName
    code: AgencyCode | None
    text: str | None
    message: MessageFacts


_SHOWN = ("at", "name", "code", "text")
_COLUMNS = ("number", "at", "name", "message_id", "code", "text")
_NUMBER = select(func.coalesce(func.max(events.c.number), 0) + 1).scalar_subquery()


@lru_cache(maxsize=16)
def _telling(kinds: tuple[MessageKind, ...]) -> Prepared:
    return Prepared(
        insert(events)
        .from_select(
            _COLUMNS,
            select(
                _NUMBER,
                bindparam("at_time", type_=Instant),
                bindparam("of_name"),
                messages.c.message_id,
                bindparam("of_code", type_=Code),
                bindparam("in_words"),
            ).where(messages.c.message_id == bindparam("of_message"), messages.c.kind.in_(kinds)),
        )
        .returning(events.c.number)
    )


_DROP = delete(events).where(events.c.number <= bindparam("dropped"))
_EVERY_KIND: Final = tuple(MessageKind)


def tell(
    transaction: Transaction,
    name: EventName,
    message_id: Sha256Hex,
    *,
    at: datetime,
    code: AgencyCode | None = None,
    text: str | None = None,
    kinds: Sequence[MessageKind] = _EVERY_KIND,
) -> None:
    """Write one event about a message on record, if it is one of `kinds`."""
    told = {"at_time": at, "of_name": name, "of_message": message_id, "of_code": code, "in_words": text}
    number = _telling(tuple(kinds)).scalar(transaction, told)
    if number is not None and number % _SLACK == 0:
        transaction.execute(_DROP, {"dropped": number - KEPT})


def after(transaction: Transaction, number: int, *, limit: int) -> list[EventRow]:
    """The first `limit` events that come after `number`, of those that are kept."""
    rows = transaction.execute(
        select(messages, events.c.number.label("event_number"), *(events.c[name] for name in _SHOWN))
        .join_from(events, messages, messages.c.message_id == events.c.message_id)
        .where(events.c.number > number)
        .order_by(events.c.number)
        .limit(limit)
    ).all()
    spoken_of: dict[Sha256Hex, tuple[Sha256Hex, ...]] = {}
    for row in transaction.execute(
        select(about.c.message_id, about.c.about)
        .where(about.c.message_id.in_({row.message_id for row in rows}))
        .order_by(about.c.position)
    ):
        spoken_of[row.message_id] = (*spoken_of.get(row.message_id, ()), row.about)
    return [
        EventRow(
            number=row.event_number,
            at=row.at,
            name=EventName(row.name),
            code=row.code,
            text=row.text,
            message=facts_of(row, spoken_of.get(row.message_id, ())),
        )
        for row in rows
    ]


def last(transaction: Transaction) -> int:
    """The number of the newest event; 0 before the first."""
    return transaction.scalar(select(func.max(events.c.number))) or 0
