"""Rows of outbox and inbox as people are shown them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, func, select

from adapters.sdk import Override
from node.store import business, companions, deadlines, requests
from node.store.message_tables import about, handovers, inbox, messages, outbox, outbox_recipients
from node.store.messages import facts_of
from node.store.metadata import Transaction
from node.store.recipient_standing import standing_at
from node.store.records import (
    CompanionRow,
    DeadlineRow,
    DueRow,
    HandoverRow,
    InboxRow,
    OutboxRow,
    RecipientRow,
    RequestRow,
    Trouble,
)
from node.store.states import DeliveryState, HandoverState, OutboxState, Standing
from node.store.troubles import trouble_in
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.message import StatusCode


def outbox_rows(
    transaction: Transaction, *, states: Collection[OutboxState] | None, limit: int, most: int | None = None
) -> tuple[OutboxRow, ...]:
    """The newest messages of ours, newest first; only those in one of `states`, if some are given.

    Each with its first `most` recipients.
    """
    newest = select(outbox.c.message_id).order_by(outbox.c.sequence.desc()).limit(limit)
    if states is not None:
        newest = newest.where(outbox.c.state.in_(states))
    return outbox_rows_of(transaction, transaction.scalars(newest).all(), most=most)


def outbox_row(transaction: Transaction, message_id: Sha256Hex, *, most: int | None = None) -> OutboxRow | None:
    """A message of ours with its first `most` recipients; None if it is not ours."""
    return next(iter(outbox_rows_of(transaction, [message_id], most=most)), None)


def outbox_rows_of(
    transaction: Transaction, message_ids: Sequence[Sha256Hex], *, most: int | None
) -> tuple[OutboxRow, ...]:
    """Those of `message_ids` that are ours, newest first, each with its first `most` recipients."""
    spoken_of = _about(transaction, message_ids)
    recipients = _recipients(transaction, message_ids, most)
    stands = _stands(transaction, message_ids)
    together = companions.touching(transaction, message_ids)
    rows = transaction.execute(
        # Both tables have a sender, a lane and a number; those of `messages` are the facts.
        select(messages, *(column for column in outbox.c if column.name not in messages.c))
        .join(outbox, outbox.c.message_id == messages.c.message_id)
        .where(outbox.c.message_id.in_(message_ids))
        .order_by(outbox.c.sequence.desc())
    )
    return tuple(
        OutboxRow(
            message=facts_of(row, spoken_of[row.message_id]),
            adapter=row.adapter,
            key=row.key,
            state=OutboxState(row.state),
            created_at=row.created_at,
            accepted_at=row.accepted_at,
            attempts=row.attempts,
            tried_at=row.tried_at,
            next_attempt_at=row.due_at,
            trouble=trouble_in(row),
            recipients=tuple(recipients[row.message_id]),
            stands=stands[row.message_id],
            companions=_with(row.message_id, together),
            verdicts=row.verdicts,
            override=Override(row.override_by, row.override_reason) if row.override_by else None,
        )
        for row in rows
    )


def _with(message_id: Sha256Hex, together: Sequence[CompanionRow]) -> tuple[CompanionRow, ...]:
    """What went along with `message_id`, or it went along with, or copies it."""
    return tuple(one for one in together if message_id in (one.message_id, one.leader, one.document))


def _stands(transaction: Transaction, message_ids: Sequence[Sha256Hex]) -> defaultdict[Sha256Hex, Counter[Standing]]:
    """How many recipients of each message it stands where at: counted by the database, for there may be thousands."""
    columns = outbox_recipients.c
    recalled = requests.is_recalled(columns.message_id, columns.code).label("recalled")
    each = (
        select(columns.message_id, columns.delivery, columns.status, recalled)
        .where(columns.message_id.in_(message_ids))
        .subquery()
    )
    found: defaultdict[Sha256Hex, Counter[Standing]] = defaultdict(Counter)
    for row in transaction.execute(select(each, func.count().label("number")).group_by(*each.c)):
        status = StatusCode(row.status) if row.status else None
        standing = Standing.RECALLED if row.recalled else standing_at(DeliveryState(row.delivery), status, ())
        found[row.message_id][standing] += row.number
    return found


def _recipients(
    transaction: Transaction, message_ids: Sequence[Sha256Hex], most: int | None
) -> defaultdict[Sha256Hex, list[RecipientRow]]:
    found: defaultdict[Sha256Hex, list[RecipientRow]] = defaultdict(list)
    columns = outbox_recipients.c
    statement = select(outbox_recipients).where(columns.message_id.in_(message_ids))
    if most is not None:
        statement = statement.where(columns.position < most)
    rows = transaction.execute(statement.order_by(columns.message_id, columns.position))
    asked = _asked(transaction, message_ids)
    for row in rows:
        delivery, status = DeliveryState(row.delivery), StatusCode(row.status) if row.status else None
        requested = asked[row.message_id, row.code]
        found[row.message_id].append(
            RecipientRow(
                code=row.code,
                written=row.written,
                name=row.name,
                standing=standing_at(delivery, status, [one for one in requested if one.about == row.message_id]),
                delivery=delivery,
                since=row.since,
                trouble=Trouble(code=row.trouble_code, text=row.trouble_text) if row.trouble_code else None,
                status=status,
                status_text=row.status_text,
                status_at=row.status_at,
                requests=tuple(requested),
            )
        )
    return found


def inbox_rows(transaction: Transaction, *, limit: int) -> tuple[InboxRow, ...]:
    """The newest messages received, newest first."""
    newest = select(inbox.c.message_id).order_by(inbox.c.sequence.desc()).limit(limit)
    return _inbox_rows(transaction, transaction.scalars(newest).all())


def inbox_rows_with(transaction: Transaction, *, states: Collection[HandoverState], limit: int) -> tuple[InboxRow, ...]:
    """The newest messages received of which a hand-over is in one of `states`, newest first."""
    newest = (
        select(handovers.c.message_id, handovers.c.sequence)
        .where(handovers.c.state.in_(states))
        .distinct()
        .order_by(handovers.c.sequence.desc())
        .limit(limit)
    )
    return _inbox_rows(transaction, [row.message_id for row in transaction.execute(newest)])


def inbox_row(transaction: Transaction, message_id: Sha256Hex) -> InboxRow | None:
    """None if the message was not received here."""
    return next(iter(_inbox_rows(transaction, [message_id])), None)


def _inbox_rows(transaction: Transaction, message_ids: Sequence[Sha256Hex]) -> tuple[InboxRow, ...]:
    spoken_of = _about(transaction, message_ids)
    handed: defaultdict[Sha256Hex, list[HandoverRow]] = defaultdict(list)
    due = {(one.message_id, one.code): one for one in deadlines.of(transaction, message_ids)}
    asked = _asked(transaction, message_ids)
    for row in transaction.execute(
        select(handovers).where(handovers.c.message_id.in_(message_ids)).order_by(handovers.c.code)
    ):
        key = row.message_id, row.code
        handed[row.message_id].append(_handover(row, due.get(key), asked[key]))
    rows = transaction.execute(
        select(messages, *(column for column in inbox.c if column.name not in messages.c))
        .join(inbox, inbox.c.message_id == messages.c.message_id)
        .where(inbox.c.message_id.in_(message_ids))
        .order_by(inbox.c.sequence.desc())
    )
    return tuple(
        InboxRow(
            message=facts_of(row, spoken_of[row.message_id]),
            signer=row.signer,
            signed_at=row.signed_at,
            accepted_at=row.accepted_at,
            received_at=row.received_at,
            handovers=tuple(handed[row.message_id]),
        )
        for row in rows
    )


def _asked(
    transaction: Transaction, message_ids: Sequence[Sha256Hex]
) -> defaultdict[tuple[Sha256Hex, AgencyCode], list[RequestRow]]:
    """Requests by recipient and message: of the document, those that speak of it; of a request, itself."""
    found: defaultdict[tuple[Sha256Hex, AgencyCode], list[RequestRow]] = defaultdict(list)
    for request in requests.touching(transaction, message_ids):
        for message_id in {request.about, request.message_id}:
            found[message_id, request.code].append(request)
    return found


def _handover(row: Row[tuple[Any, ...]], deadline: DeadlineRow | None, requested: Sequence[RequestRow]) -> HandoverRow:
    return HandoverRow(
        code=row.code,
        state=HandoverState(row.state),
        since=row.since,
        attempts=row.attempts,
        next_attempt_at=row.due_at,
        trouble=trouble_in(row),
        deadline=deadline,
        requests=tuple(requested),
        verdicts=row.verdicts,
    )


def _about(transaction: Transaction, message_ids: Sequence[Sha256Hex]) -> defaultdict[Sha256Hex, tuple[Sha256Hex, ...]]:
    found: defaultdict[Sha256Hex, tuple[Sha256Hex, ...]] = defaultdict(tuple)
    for row in transaction.execute(
        select(about.c.message_id, about.c.about).where(about.c.message_id.in_(message_ids)).order_by(about.c.position)
    ):
        found[row.message_id] += (row.about,)
    return found


def due_rows(transaction: Transaction, *, limit: int) -> tuple[DueRow, ...]:
    """Documents that are not finished, the earliest deadline first."""
    found = deadlines.unsettled(transaction, limit=limit)
    rows = {
        row.message_id: row
        for row in transaction.execute(
            select(messages, inbox.c.received_at)
            .join(inbox, inbox.c.message_id == messages.c.message_id)
            .where(inbox.c.message_id.in_({one.message_id for one in found}))
        )
    }
    said = [business.last_status(transaction, one.message_id, one.code) for one in found]
    return tuple(
        DueRow(
            message=facts_of(rows[one.message_id], ()),
            deadline=one,
            received_at=rows[one.message_id].received_at,
            status=last.status if last else None,
        )
        for one, last in zip(found, said, strict=True)
    )


def speaking_of(transaction: Transaction, message_id: Sha256Hex, *, limit: int) -> tuple[Sha256Hex, ...]:
    """The first messages that speak of `message_id`, in the order in which they came to be known; `limit` at most."""
    return tuple(
        transaction.scalars(
            select(about.c.message_id)
            .join(messages, messages.c.message_id == about.c.message_id)
            .where(about.c.about == message_id)
            .order_by(messages.c.sequence)
            .limit(limit)
        )
    )
