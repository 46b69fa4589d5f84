"""Deliveries as an operator looks for them: by state, agency and age, answered by indices of what is not delivered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, func, literal_column, or_, select

from hub.store.deliveries import DeliveryState
from hub.store.exchange_tables import deliveries, mailbox_entries, messages
from hub.store.metadata import Transaction
from schemas.envelope import Sha256Hex

#: Delivered ones are looked for among so many messages, the newest: of all that a hub ever delivered there is no index.
NEWEST: Final = 100_000

#: Spelt as in the indices: a database takes a partial index only for a condition that it can see to be implied.
UNDELIVERED: Final[ColumnElement[bool]] = literal_column("deliveries.state <> 'delivered'")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryQuestion:
    """Deliveries in `state`, of a sender, to a recipient, that stand so since `before` or longer; None asks nothing."""

    state: DeliveryState
    sender: str | None = None
    recipient: str | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedDelivery:
    """A delivery and how it stands. `attempts` counts releases; `leased_until` is there while it is leased.

    `expires_at` and `leased_until` are those of its mailbox entry, None once that is closed.
    """

    message_id: Sha256Hex
    document_id: str | None
    priority: int
    sender: str
    recipient: str
    connection: str
    state: DeliveryState
    since: datetime
    round: int
    attempts: int
    last_error: str | None
    expires_at: datetime | None
    leased_until: datetime | None


def find(transaction: Transaction, question: DeliveryQuestion, *, at: datetime, limit: int) -> list[ListedDelivery]:
    """Up to `limit` deliveries: the longest waiting first, of delivered ones the newest."""
    if question.state is DeliveryState.DELIVERED:
        newest = select(func.coalesce(func.max(messages.c.message), 0) - NEWEST).scalar_subquery()
        statement = (
            _listed(question)
            .where(deliveries.c.message > newest, deliveries.c.state == DeliveryState.DELIVERED)
            .order_by(deliveries.c.message.desc())
        )
    else:
        statement = (
            _listed(question)
            .where(UNDELIVERED, deliveries.c.state == _stored(question.state), *_lease(question.state, at))
            .order_by(deliveries.c.updated_at)
        )
    return list(_rows(transaction, statement.limit(limit), at))


def of_message(transaction: Transaction, message: int, *, at: datetime) -> list[ListedDelivery]:
    """The deliveries of a message that are written, by recipient."""
    statement = _joined().where(deliveries.c.message == message).order_by(deliveries.c.recipient)
    return list(_rows(transaction, statement, at))


def _stored(state: DeliveryState) -> DeliveryState:
    return DeliveryState.QUEUED if state is DeliveryState.LEASED else state


def _lease(state: DeliveryState, at: datetime) -> tuple[ColumnElement[bool], ...]:
    entry = mailbox_entries.c
    if state is DeliveryState.LEASED:
        return (entry.lease.is_not(None), entry.available_at > at)
    if state is DeliveryState.QUEUED:
        return (or_(entry.lease.is_(None), entry.available_at <= at),)
    return ()


def _joined() -> Select[tuple[object, ...]]:
    return (
        select(
            messages.c.message_id,
            messages.c.document_id,
            messages.c.priority,
            messages.c.sender,
            deliveries.c.recipient,
            deliveries.c.connection,
            deliveries.c.state,
            deliveries.c.updated_at,
            deliveries.c.round,
            deliveries.c.last_error,
            mailbox_entries.c.open,
            mailbox_entries.c.lease,
            mailbox_entries.c.available_at,
            mailbox_entries.c.attempts,
            mailbox_entries.c.expires_at,
            mailbox_entries.c.last_error.label("entry_error"),
        )
        .join_from(deliveries, messages, messages.c.message == deliveries.c.message)
        .join(
            mailbox_entries,
            and_(
                mailbox_entries.c.message == deliveries.c.message,
                mailbox_entries.c.connection == deliveries.c.connection,
                mailbox_entries.c.receipt.is_(None),
            ),
            isouter=True,
        )
    )


def _listed(question: DeliveryQuestion) -> Select[tuple[object, ...]]:
    statement = _joined()
    if question.recipient is not None:
        statement = statement.where(deliveries.c.recipient == question.recipient)
    if question.sender is not None:
        statement = statement.where(messages.c.sender == question.sender)
    if question.before is not None:
        statement = statement.where(deliveries.c.updated_at <= question.before)
    return statement


def _rows(transaction: Transaction, statement: Select[tuple[object, ...]], at: datetime) -> Iterator[ListedDelivery]:
    for row in transaction.execute(statement):
        state = DeliveryState(row.state)
        waits = state is DeliveryState.QUEUED
        leased = waits and row.lease is not None and row.available_at > at
        yield ListedDelivery(
            message_id=row.message_id,
            document_id=row.document_id,
            priority=row.priority,
            sender=row.sender,
            recipient=row.recipient,
            connection=row.connection,
            state=DeliveryState.LEASED if leased else state,
            since=row.updated_at,
            round=row.round,
            attempts=row.attempts or 0,
            last_error=row.last_error or (row.entry_error if waits else None),
            expires_at=row.expires_at if row.open else None,
            leased_until=row.available_at if leased else None,
        )
