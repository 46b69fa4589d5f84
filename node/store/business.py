"""What a message changes in the business life of documents when it enters the record, sent or received."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, exists, func, or_, select

from node.store import deadlines, requests
from node.store import messages as message_store
from node.store.business_tables import companions
from node.store.message_tables import about, handovers, messages, outbox
from node.store.messages import RecordedMessage
from node.store.metadata import Transaction
from node.store.records import RequestRow
from node.store.states import CompanionRole, HandoverState, OutboxState, RequestState
from runtime.prepared import Prepared
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.message import BusinessType, Document, StatusCode, StatusMessage
from schemas.times import DateText

#: With these an agency is done with a document.
_DONE = frozenset({StatusCode.REFUSED, StatusCode.FINISHED})


@dataclass(frozen=True, slots=True)
class StatusSaid:
    """A status that an agency of ours gave, the message that says it, and its words."""

    status: StatusCode
    message_id: Sha256Hex
    words: str | None


# Asked for every message that is handed over: built once.
_REPLACED = Prepared(
    select(about.c.about)
    .join(messages, messages.c.message_id == about.c.message_id)
    .where(about.c.message_id == bindparam("of_message"), messages.c.business == BusinessType.REPLACE)
)


def enter_sent(
    transaction: Transaction, message: RecordedMessage, recipients: Collection[AgencyCode], *, at: datetime
) -> None:
    """A message of ours: a recall or update opens requests, a status answers one, or ends work on a document."""
    requests.open_for(transaction, message, recipients, at=at)
    content = message.envelope.message
    if not isinstance(content, StatusMessage) or content.status_code is StatusCode.TAKEN_BACK:
        return
    said = StatusSaid(content.status_code, message.message_id, content.description)
    for spoken_of in message.envelope.extension.about:
        _take_effect(transaction, said, spoken_of, message.sender, at=at)


def _take_effect(
    transaction: Transaction, said: StatusSaid, document: Sha256Hex, code: AgencyCode, at: datetime
) -> None:
    """What follows from what `code`, an agency of ours, has said of a document."""
    closed = requests.answer(transaction, document, code, said.status, answer=said.message_id, reason=said.words, at=at)
    for request in closed:
        if request.state is RequestState.AGREED:
            _carry_out(transaction, request)
    if said.status in _DONE:
        deadlines.settle(transaction, [document], code)


def enter_refused(transaction: Transaction, message_id: Sha256Hex) -> None:
    """The hub has refused a message of ours: what was open before it was said is open again."""
    facts = message_store.facts(transaction, message_id)
    if facts is None:
        return
    reopened = requests.forget_refused(transaction, message_id, facts.about)
    documents = {request.about for request in reopened if request.kind is BusinessType.RECALL}
    if facts.status in _DONE:
        documents.update(facts.about)
    for document in sorted(documents):
        if not _is_done(transaction, document, facts.sender):
            deadlines.unsettle(transaction, document, facts.sender)


def _carry_out(transaction: Transaction, request: RequestRow) -> None:
    """What follows here from agreeing: a document given back is no work any more; an updated one may be due later."""
    if request.kind is BusinessType.RECALL:
        deadlines.settle(transaction, [request.about], request.code)
        return
    facts = message_store.facts(transaction, request.message_id)
    due_at = DateText(facts.due_date).end if facts and facts.due_date else None
    # One that was done before it had a deadline has nothing that could settle it any more; one that has not come is
    # no work, and is due as the update says once it comes.
    document, code = request.about, request.code
    if due_at is not None and _handover(transaction, document, code) and not _is_done(transaction, document, code):
        deadlines.move(transaction, document, code, due_at)


def _handover(transaction: Transaction, document: Sha256Hex, code: AgencyCode) -> HandoverState | None:
    """How the hand-over of `document` to `code` stands; None if it has not come."""
    state = transaction.scalar(
        select(handovers.c.state).where(handovers.c.message_id == document, handovers.c.code == code)
    )
    return None if state is None else HandoverState(state)


def _is_done(transaction: Transaction, document: Sha256Hex, code: AgencyCode) -> bool:
    """Whether our agency `code` has nothing to do any more with `document`: by its word, its software's, or another
    document in its place."""
    last = last_status(transaction, document, code)
    if last is not None and last.status in _DONE:
        return True
    replaced = exists().where(
        about.c.about == document,
        about.c.message_id == messages.c.message_id,
        messages.c.business == BusinessType.REPLACE,
        handovers.c.message_id == messages.c.message_id,
        handovers.c.code == code,
        handovers.c.state == HandoverState.HANDED_OVER,
    )
    return (
        requests.was_given_back(transaction, document, code)
        or _handover(transaction, document, code) is HandoverState.REFUSED
        or bool(transaction.scalar(select(replaced)))
    )


def enter_received(
    transaction: Transaction, message: RecordedMessage, codes: Collection[AgencyCode], *, at: datetime
) -> None:
    """A message that came for `codes`, which had not had it: a request to answer, or work with a deadline.

    What these had said of it already takes effect now: a node that was put back to a backup has its own statuses again
    before what they speak of, and an update may be agreed to before the document comes.
    """
    requests.open_for(transaction, message, codes, at=at)
    deadlines.set_for(transaction, message, codes)
    content = message.envelope.message
    if not isinstance(content, Document):
        return
    for code in codes:
        if content.due_date is not None or content.business_type in requests.REQUESTS:
            for said, said_at in _said(transaction, message.message_id, code):
                _take_effect(transaction, said, message.message_id, code, at=said_at)
        for request in requests.agreed_about(transaction, message.message_id, code):
            _carry_out(transaction, request)


def enter_handed_over(transaction: Transaction, message_id: Sha256Hex, code: AgencyCode) -> None:
    """The software of `code` has the message: what it replaces is work no more, its own deadline counts."""
    replaced = _REPLACED.scalars(transaction, {"of_message": message_id})
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


def _said(transaction: Transaction, document: Sha256Hex, code: AgencyCode) -> Iterator[tuple[StatusSaid, datetime]]:
    """What our agency `code` has said of `document`, unless the hub refused it, in order, each with when."""
    rows = transaction.execute(
        select(messages.c.status, messages.c.message_id, messages.c.description, outbox.c.created_at)
        .join(about, about.c.message_id == messages.c.message_id)
        .join(outbox, outbox.c.message_id == messages.c.message_id)
        .where(
            about.c.about == document,
            about.c.sender == code,
            messages.c.status.is_not(None),
            messages.c.status != StatusCode.TAKEN_BACK,
            outbox.c.state != OutboxState.REFUSED,
        )
        .order_by(messages.c.sequence)
    ).all()
    return ((StatusSaid(StatusCode(row.status), row.message_id, row.description), row.created_at) for row in rows)
