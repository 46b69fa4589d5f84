"""Rows of outbox and inbox as people are shown them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, select

from node.store.message_tables import about, handovers, inbox, messages, outbox, outbox_recipients
from node.store.messages import facts_of
from node.store.metadata import Transaction
from node.store.records import HandoverRow, InboxRow, OutboxRow, RecipientRow, Trouble
from node.store.states import DeliveryState, HandoverState, OutboxState
from node.store.troubles import trouble_in
from schemas.envelope import Sha256Hex
from schemas.message import StatusCode


def outbox_rows(
    transaction: Transaction, *, states: Collection[OutboxState] | None, limit: int
) -> tuple[OutboxRow, ...]:
    """The newest messages of ours, newest first; only those in one of `states`, if some are given."""
    newest = select(outbox.c.message_id).order_by(outbox.c.sequence.desc()).limit(limit)
    if states is not None:
        newest = newest.where(outbox.c.state.in_(states))
    return _outbox_rows(transaction, transaction.scalars(newest).all())


def outbox_row(transaction: Transaction, message_id: Sha256Hex) -> OutboxRow | None:
    """None if the message is not ours."""
    return next(iter(_outbox_rows(transaction, [message_id])), None)


def _outbox_rows(transaction: Transaction, message_ids: Sequence[Sha256Hex]) -> tuple[OutboxRow, ...]:
    spoken_of = _about(transaction, message_ids)
    recipients = _recipients(transaction, message_ids)
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
        )
        for row in rows
    )


def _recipients(
    transaction: Transaction, message_ids: Sequence[Sha256Hex]
) -> defaultdict[Sha256Hex, list[RecipientRow]]:
    found: defaultdict[Sha256Hex, list[RecipientRow]] = defaultdict(list)
    columns = outbox_recipients.c
    rows = transaction.execute(
        select(outbox_recipients)
        .where(columns.message_id.in_(message_ids))
        .order_by(columns.message_id, columns.position)
    )
    for row in rows:
        found[row.message_id].append(
            RecipientRow(
                code=row.code,
                written=row.written,
                name=row.name,
                delivery=DeliveryState(row.delivery),
                since=row.since,
                trouble=Trouble(code=row.trouble_code, text=row.trouble_text) if row.trouble_code else None,
                status=StatusCode(row.status) if row.status else None,
                status_text=row.status_text,
                status_at=row.status_at,
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
    for row in transaction.execute(
        select(handovers).where(handovers.c.message_id.in_(message_ids)).order_by(handovers.c.code)
    ):
        handed[row.message_id].append(_handover(row))
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


def _handover(row: Row[tuple[Any, ...]]) -> HandoverRow:
    return HandoverRow(
        code=row.code,
        state=HandoverState(row.state),
        since=row.since,
        attempts=row.attempts,
        next_attempt_at=row.due_at,
        trouble=trouble_in(row),
    )


def _about(transaction: Transaction, message_ids: Sequence[Sha256Hex]) -> defaultdict[Sha256Hex, tuple[Sha256Hex, ...]]:
    found: defaultdict[Sha256Hex, tuple[Sha256Hex, ...]] = defaultdict(tuple)
    for row in transaction.execute(
        select(about.c.message_id, about.c.about).where(about.c.message_id.in_(message_ids)).order_by(about.c.position)
    ):
        found[row.message_id] += (row.about,)
    return found


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
