"""Who may read what a message brought: its envelope, and its attachments."""

from __future__ import annotations

from sqlalchemy import ColumnElement, exists, or_

from hub.store.deliveries import DeliveryState
from hub.store.exchange_tables import deliveries, mailbox_entries, messages


def reads(connection: str) -> ColumnElement[bool]:
    """`connection` may read the message of the row of `messages`.

    The sender always may. A recipient may while it is offered the message or has taken it: not after its deliveries
    ended refused, expired or cancelled.
    """
    offered = exists().where(*_hands_over(connection), mailbox_entries.c.open)
    return or_(messages.c.connection == connection, offered, _has_taken(connection))


def _has_taken(connection: str) -> ColumnElement[bool]:
    # The entry first, which an index finds: of a circular to thousands only a recipient looks through its deliveries.
    taken = exists().where(
        deliveries.c.message == mailbox_entries.c.message,
        deliveries.c.connection == connection,
        deliveries.c.state == DeliveryState.DELIVERED,
    )
    return exists().where(*_hands_over(connection), taken)


def _hands_over(connection: str) -> tuple[ColumnElement[bool], ...]:
    return (
        mailbox_entries.c.message == messages.c.message,
        mailbox_entries.c.connection == connection,
        mailbox_entries.c.receipt.is_(None),
    )
