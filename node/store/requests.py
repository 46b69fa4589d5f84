"""Requests: recalls and updates, ours and those that came, each until its recipient has answered."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, bindparam, delete, exists, or_, select, update

from node.store.business_tables import requests
from node.store.messages import RecordedMessage
from node.store.metadata import Transaction
from node.store.records import RequestRow
from node.store.states import RequestState
from runtime.columns import insert_or
from runtime.prepared import Prepared
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.message import BusinessType, Document, StatusCode

#: What asks its recipients for an answer.
REQUESTS: Final = frozenset({BusinessType.RECALL, BusinessType.UPDATE})

_STATES: Final = {
    StatusCode.REQUEST_AGREED: RequestState.AGREED,
    StatusCode.REQUEST_REFUSED: RequestState.REFUSED,
    # Software that refuses the recall itself has refused what it asks for.
    StatusCode.REFUSED: RequestState.REFUSED,
}

# Asked of every document that comes: to build a statement costs four times what it costs to run it.
_AGREED: Final = Prepared(
    select(requests)
    .where(
        requests.c.about == bindparam("of_message"),
        requests.c.code == bindparam("of_code"),
        requests.c.state == RequestState.AGREED,
    )
    .order_by(requests.c.opened_at, requests.c.message_id)
)


def open_for(transaction: Transaction, message: RecordedMessage, codes: Iterable[AgencyCode], *, at: datetime) -> None:
    """If `message` is a recall or an update, it asks each of `codes` about each message that it speaks of."""
    content = message.envelope.message
    if not isinstance(content, Document) or content.business_type not in REQUESTS:
        return
    rows = [
        {
            "message_id": message.message_id,
            "about": about,
            "code": code,
            "kind": content.business_type,
            "state": RequestState.OPEN,
            "opened_at": at,
        }
        for code in codes
        for about in dict.fromkeys(message.envelope.extension.about)
    ]
    if rows:
        # A message between two agencies of this node is sent here and comes here.
        transaction.execute(insert_or(transaction, requests).on_conflict_do_nothing(), rows)


def is_recalled(message_id: ColumnElement[str], code: ColumnElement[AgencyCode]) -> ColumnElement[bool]:
    """Whether the agency of a row has agreed to give back the message of the row."""
    return exists().where(
        requests.c.about == message_id,
        requests.c.code == code,
        requests.c.kind == BusinessType.RECALL,
        requests.c.state == RequestState.AGREED,
    )


def answer(
    transaction: Transaction,
    request: Sha256Hex,
    code: AgencyCode,
    status: StatusCode,
    *,
    answer: Sha256Hex,
    reason: str | None,
    at: datetime,
) -> tuple[RequestRow, ...]:
    """Close what `request` asks of `code`, if `status` answers it and nothing has before; gives what was closed."""
    state = _STATES.get(status)
    if state is None:
        return ()
    rows = transaction.execute(
        update(requests)
        .where(
            requests.c.message_id == request,
            requests.c.code == code,
            requests.c.state == RequestState.OPEN,
        )
        .values(state=state, answer=answer, answered_at=at, reason=reason)
        .returning(*requests.c)
    )
    return tuple(_row(row) for row in rows)


def forget_refused(
    transaction: Transaction, message_id: Sha256Hex, spoken_of: Collection[Sha256Hex]
) -> tuple[RequestRow, ...]:
    """A message of ours that the hub refused asks nobody for anything and answers nothing; gives what is open again."""
    transaction.execute(delete(requests).where(requests.c.message_id == message_id))
    rows = transaction.execute(
        update(requests)
        .where(requests.c.message_id.in_(spoken_of), requests.c.answer == message_id)
        .values(state=RequestState.OPEN, answer=None, answered_at=None, reason=None)
        .returning(*requests.c)
    )
    return tuple(_row(row) for row in rows)


def touching(transaction: Transaction, message_ids: Collection[Sha256Hex]) -> tuple[RequestRow, ...]:
    """Requests that are, or speak of, one of `message_ids`; in the order in which they were made."""
    rows = transaction.execute(
        select(requests)
        .where(or_(requests.c.about.in_(message_ids), requests.c.message_id.in_(message_ids)))
        .order_by(requests.c.opened_at, requests.c.message_id, requests.c.about, requests.c.code)
    )
    return tuple(_row(row) for row in rows)


def newest_of(transaction: Transaction, about: Sha256Hex, code: AgencyCode) -> Sha256Hex | None:
    """The recall or update of `about` that `code` was asked last, an open one before those that were answered."""
    found: Sha256Hex | None = transaction.scalar(
        select(requests.c.message_id)
        .where(requests.c.about == about, requests.c.code == code)
        .order_by((requests.c.state == RequestState.OPEN).desc(), requests.c.opened_at.desc())
        .limit(1)
    )
    return found


def is_request(transaction: Transaction, message_id: Sha256Hex, code: AgencyCode) -> bool:
    """Whether `message_id` is a recall or an update that asks `code` something."""
    found = transaction.scalar(
        select(requests.c.state).where(requests.c.message_id == message_id, requests.c.code == code).limit(1)
    )
    return found is not None


def was_given_back(transaction: Transaction, about: Sha256Hex, code: AgencyCode) -> bool:
    """Whether `code` has agreed to a recall of `about`."""
    found = transaction.scalar(
        select(requests.c.message_id)
        .where(
            requests.c.about == about,
            requests.c.code == code,
            requests.c.kind == BusinessType.RECALL,
            requests.c.state == RequestState.AGREED,
        )
        .limit(1)
    )
    return found is not None


def agreed_about(transaction: Transaction, about: Sha256Hex, code: AgencyCode) -> tuple[RequestRow, ...]:
    """The recalls and updates of `about` that `code` has agreed to, in the order in which they were made."""
    return tuple(_row(row) for row in _AGREED.all(transaction, {"of_message": about, "of_code": code}))


def _row(row: Row[tuple[Any, ...]]) -> RequestRow:
    return RequestRow(
        message_id=row.message_id,
        about=row.about,
        code=row.code,
        kind=BusinessType(row.kind),
        state=RequestState(row.state),
        opened_at=row.opened_at,
        answered_at=row.answered_at,
        reason=row.reason,
    )
