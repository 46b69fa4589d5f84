"""What a message changes in the business life of documents when it enters the record, sent or received."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select

from node.store import deadlines, requests
from node.store import messages as message_store
from node.store.business_tables import companions
from node.store.message_tables import about, messages, outbox
from node.store.messages import RecordedMessage
from node.store.metadata import Transaction
from node.store.records import RequestRow
from node.store.states import CompanionRole, OutboxState, RequestState
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.message import BusinessType, StatusCode, StatusMessage
from schemas.times import DateText

#: With these an agency is done with a document.
_DONE = frozenset({StatusCode.REFUSED, StatusCode.FINISHED})


def enter_sent(
    transaction: Transaction, message: RecordedMessage, recipients: Collection[AgencyCode], *, at: datetime
) -> None:
    """A message of ours: a recall or update opens requests, a status answers one, or ends work on a document."""
    requests.open_for(transaction, message, recipients, at=at)
    content = message.envelope.message
    if not isinstance(content, StatusMessage) or content.status_code is StatusCode.TAKEN_BACK:
        return
    for spoken_of in message.envelope.extension.about:
        closed = requests.answer(
            transaction,
            spoken_of,
            message.sender,
            content.status_code,
            answer=message.message_id,
            reason=content.description,
            at=at,
        )
        for request in closed:
            if request.state is RequestState.AGREED:
                _carry_out(transaction, request)
        if content.status_code in _DONE:
            deadlines.settle(transaction, [spoken_of], message.sender)


def _carry_out(transaction: Transaction, request: RequestRow) -> None:
    """What follows here from agreeing: a document given back is no work any more; an updated one may be due later."""
    if request.kind is BusinessType.RECALL:
        deadlines.settle(transaction, [request.about], request.code)
        return
    facts = message_store.facts(transaction, request.message_id)
    due_at = DateText(facts.due_date).end if facts and facts.due_date else None
    last = last_status(transaction, request.about, request.code)
    is_over = requests.was_given_back(transaction, request.about, request.code)
    # One that was done before it had a deadline has nothing that could settle it any more.
    if due_at is not None and not is_over and (last is None or last.status not in _DONE):
        deadlines.move(transaction, request.about, request.code, due_at)


def enter_received(
    transaction: Transaction, message: RecordedMessage, codes: Collection[AgencyCode], *, at: datetime
) -> None:
    """A message that came for `codes`, which had not had it: a request to answer, or work with a deadline."""
    requests.open_for(transaction, message, codes, at=at)
    deadlines.set_for(transaction, message, codes)


def enter_handed_over(transaction: Transaction, message_id: Sha256Hex, code: AgencyCode) -> None:
    """The software of `code` has the message: what it replaces is work no more, its own deadline counts."""
    replaced = transaction.scalars(
        select(about.c.about)
        .join(messages, messages.c.message_id == about.c.message_id)
        .where(about.c.message_id == message_id, messages.c.business == BusinessType.REPLACE)
    ).all()
    if replaced:
        deadlines.settle(transaction, replaced, code)


def restatements_of(transaction: Transaction, document: Sha256Hex) -> tuple[Sha256Hex, ...]:
    """Messages of ours that say what `document` says since: its updates, and its copies, the oldest first.

    Each order counts once, with the first of its messages that the hub did not refuse: where a document is held under
    a copy, an update names the copy alone, and where nobody keeps it, the copies alone say what it has become.
    """
    copies = select(companions.c.message_id).where(
        companions.c.document == document, companions.c.role == CompanionRole.COPY
    )
    updates = (
        select(messages.c.message_id)
        .join(about, about.c.message_id == messages.c.message_id)
        .where(
            messages.c.business == BusinessType.UPDATE,
            or_(about.c.about == document, about.c.about.in_(copies)),
        )
    )
    order = func.coalesce(companions.c.leader, messages.c.message_id).label("leader")
    found = transaction.execute(
        select(messages.c.message_id, order)
        .outerjoin(companions, companions.c.message_id == messages.c.message_id)
        .join(outbox, outbox.c.message_id == messages.c.message_id)
        .where(
            or_(messages.c.message_id.in_(updates), messages.c.message_id.in_(copies)),
            outbox.c.state != OutboxState.REFUSED,
        )
        .order_by(messages.c.sequence)
    )
    first: dict[Sha256Hex, Sha256Hex] = {}
    for row in found:
        first.setdefault(row.leader, row.message_id)
    return tuple(first.values())


@dataclass(frozen=True, slots=True)
class StatusSaid:
    """A status that an agency of ours gave, the message that says it, and its words."""

    status: StatusCode
    message_id: Sha256Hex
    words: str | None


def last_status(
    transaction: Transaction, document: Sha256Hex, code: AgencyCode, *, among: Collection[StatusCode] = ()
) -> StatusSaid | None:
    """The last status that our agency `code` gave about `document`, unless the hub refused it; None: none yet.

    `among`: only these count.
    """
    statement = (
        select(messages.c.status, messages.c.message_id, messages.c.description)
        .join(about, about.c.message_id == messages.c.message_id)
        .join(outbox, outbox.c.message_id == messages.c.message_id)
        .where(
            about.c.about == document,
            about.c.sender == code,
            messages.c.status.is_not(None),
            messages.c.status != StatusCode.TAKEN_BACK,
            outbox.c.state != OutboxState.REFUSED,
        )
        .order_by(messages.c.sequence.desc())
        .limit(1)
    )
    if among:
        statement = statement.where(messages.c.status.in_(among))
    row = transaction.execute(statement).first()
    return StatusSaid(StatusCode(row.status), row.message_id, row.description) if row is not None else None
