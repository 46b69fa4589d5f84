"""Documents of ours as software is shown them: the newest first, page by page."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select

from node.store import listing
from node.store.message_tables import messages, outbox
from node.store.metadata import Transaction
from node.store.records import OutboxRow
from node.store.states import MessageKind
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex


def documents(
    transaction: Transaction,
    *,
    senders: Collection[AgencyCode],
    document_id: str | None,
    message_id: Sha256Hex | None,
    before: int | None,
    limit: int,
    most: int,
) -> Sequence[tuple[int, OutboxRow]]:
    """Up to `limit` documents with their numbers, those numbered below `before`; each with its first `most` recipients.

    Only those of `senders` (any, if there are none), with `document_id`, with `message_id`, if given.
    """
    columns = outbox.c
    statement = (
        select(columns.message_id, columns.sequence)
        .join(messages, messages.c.message_id == columns.message_id)
        .where(messages.c.kind == MessageKind.DOCUMENT)
        .order_by(columns.sequence.desc())
        .limit(limit)
    )
    if senders:
        statement = statement.where(columns.sender.in_(senders))
    if document_id is not None:
        statement = statement.where(messages.c.document_id == document_id)
    if message_id is not None:
        statement = statement.where(columns.message_id == message_id)
    if before is not None:
        statement = statement.where(columns.sequence < before)
    numbers = {row.message_id: row.sequence for row in transaction.execute(statement)}
    rows = listing.outbox_rows_of(transaction, list(numbers), most=most)
    return [(numbers[row.message.message_id], row) for row in rows]
