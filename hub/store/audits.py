"""What an audit reads: stored messages in batches with all that belongs to them, and rows that belong to none.

Whole tables are read, in the order of their keys: a report's business, never a request's. Nothing here says what any of
it means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import Column as SqlColumn
from sqlalchemy import ColumnElement, Table, exists, func, select

from certs.examination import KeptVersion
from certs.kept_receipts import KeptReceipt
from hub.store.deliveries import DeliveryState
from hub.store.directory_tables import directory_versions
from hub.store.exchange_tables import (
    blobs,
    deliveries,
    envelopes,
    fanout_batches,
    mailbox_entries,
    message_blobs,
    messages,
    proofs,
    receipts,
    submissions,
    uploads,
)
from hub.store.fanouts import unwritten
from hub.store.mailboxes import codes_in
from hub.store.metadata import Transaction
from runtime.columns import stored_bytes
from runtime.kept_attachments import KeptBytes
from schemas.envelope import Sha256Hex

#: A batch ends with this many messages, or with the one whose recipients fill it.
_MESSAGES: Final = 200
_RECIPIENTS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEntry:
    """A mailbox entry's row: it hands over the message for `codes`, or the receipt of that number."""

    entry: int
    connection: str
    receipt: int | None
    codes: tuple[str, ...]
    open: bool


@dataclass(frozen=True, slots=True)
class KeptDelivery:
    connection: str
    state: DeliveryState


@dataclass(frozen=True, slots=True)
class KeptAttachment:
    """`size` is None if the row that says it is gone; `kept` are bytes in the database, None where they are a file."""

    size: int | None
    kept: KeptBytes | None


@dataclass(slots=True, kw_only=True)
class KeptMessage:
    """A message with every row that belongs to it. `unwritten`: recipients whose deliveries are still to be written."""

    message: int
    message_id: Sha256Hex
    from_code: str
    sender: str
    connection: str
    accepted_at: datetime
    purged_at: datetime | None
    directory_version: int
    envelope: bytes | None = field(repr=False)
    deliveries: dict[str, KeptDelivery] = field(default_factory=dict)
    unwritten: dict[str, str] = field(default_factory=dict)
    entries: list[KeptEntry] = field(default_factory=list)
    receipts: list[KeptReceipt] = field(default_factory=list)
    attachments: dict[Sha256Hex, KeptAttachment] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LostReceipt:
    """A receipt that is gone, of which message it was, and to which connection a mailbox entry was to bring it."""

    receipt: int
    message_id: Sha256Hex | None
    connection: str


@dataclass(frozen=True, slots=True)
class Dangling:
    """Rows of `table` that belong to a message that is not there; `receipt` is the body of a receipt of it, if any."""

    table: str
    message: int
    receipt: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers `first` to `last` that no row of `table` has."""

    table: str
    first: int
    last: int


def count(transaction: Transaction) -> int:
    """How many messages there are."""
    return transaction.execute(select(func.count()).select_from(messages)).scalar_one()


def batches(transaction: Transaction, *, contents: bool) -> Iterator[list[KeptMessage]]:
    """Every message in the order of acceptance; `contents` reads the bytes of short attachments as well.

    Memory grows with the recipients of one message, not with the number of messages.
    """
    last = 0
    while numbers := _next_numbers(transaction, last):
        last = numbers[-1]
        yield _batch(transaction, numbers[0], last, contents=contents)


def _next_numbers(transaction: Transaction, after: int) -> list[int]:
    rows = transaction.execute(
        select(messages.c.message, messages.c.recipients_count)
        .where(messages.c.message > after)
        .order_by(messages.c.message)
        .limit(_MESSAGES)
    ).all()
    numbers: list[int] = []
    room = _RECIPIENTS
    for row in rows:
        if numbers and room < row.recipients_count:
            break
        numbers.append(row.message)
        room -= row.recipients_count
    return numbers


def _batch(transaction: Transaction, first: int, last: int, *, contents: bool) -> list[KeptMessage]:
    rows = transaction.execute(
        select(messages, envelopes.c.body.label("envelope"))
        .join_from(messages, envelopes, envelopes.c.message == messages.c.message, isouter=True)
        .where(messages.c.message.between(first, last))
        .order_by(messages.c.message)
    )
    found = {
        row.message: KeptMessage(
            message=row.message,
            message_id=row.message_id,
            from_code=row.from_code,
            sender=row.sender,
            connection=row.connection,
            accepted_at=row.accepted_at,
            purged_at=row.purged_at,
            directory_version=row.directory_version,
            envelope=stored_bytes(row.envelope),
        )
        for row in rows
    }
    _add_deliveries(transaction, found, first, last)
    _add_receipts(transaction, found, first, last)
    _add_attachments(transaction, found, first, last, contents=contents)
    return list(found.values())


def _add_deliveries(transaction: Transaction, found: dict[int, KeptMessage], first: int, last: int) -> None:
    for row in transaction.execute(select(deliveries).where(deliveries.c.message.between(first, last))):
        if row.message in found:
            found[row.message].deliveries[row.recipient] = KeptDelivery(row.connection, DeliveryState(row.state))
    for number in transaction.scalars(
        select(fanout_batches.c.message).distinct().where(fanout_batches.c.message.between(first, last))
    ).all():
        if number in found:
            targets = unwritten(transaction, number)
            found[number].unwritten = {target.recipient: target.connection for target in targets}
    # Asked for in two ways, for which there are indices: those of messages, and those of receipts about them.
    of_messages = select(mailbox_entries).where(
        mailbox_entries.c.message.between(first, last), mailbox_entries.c.receipt.is_(None)
    )
    of_receipts = (
        select(mailbox_entries)
        .join_from(receipts, mailbox_entries, mailbox_entries.c.receipt == receipts.c.receipt)
        .where(receipts.c.message.between(first, last), mailbox_entries.c.receipt.is_not(None))
    )
    for statement in (of_messages, of_receipts):
        for row in transaction.execute(statement):
            if row.message in found:
                entry = KeptEntry(
                    entry=row.entry,
                    connection=row.connection,
                    receipt=row.receipt,
                    codes=codes_in(row.codes),
                    open=row.open,
                )
                found[row.message].entries.append(entry)


def _add_receipts(transaction: Transaction, found: dict[int, KeptMessage], first: int, last: int) -> None:
    rows = transaction.execute(
        select(receipts).where(receipts.c.message.between(first, last)).order_by(receipts.c.receipt)
    ).all()
    # Each proof once, however many receipts it signs.
    named = list({row.proof for row in rows})
    bodies: dict[Sha256Hex, bytes] = {}
    for start in range(0, len(named), _MESSAGES):
        part = named[start : start + _MESSAGES]
        for row in transaction.execute(select(proofs).where(proofs.c.digest.in_(part))):
            bodies[row.digest] = stored_bytes(row.body) or b""
    for row in rows:
        if row.message in found:
            message = found[row.message]
            message.receipts.append(
                KeptReceipt(
                    receipt=row.receipt,
                    message_id=message.message_id,
                    senders=frozenset({message.from_code, message.sender}),
                    recipient=row.recipient,
                    event=row.event,
                    stored_at=row.stored_at,
                    since=message.directory_version,
                    body=stored_bytes(row.body) or b"",
                    proof=row.proof,
                    proof_body=bodies.get(row.proof),
                )
            )


def _add_attachments(
    transaction: Transaction, found: dict[int, KeptMessage], first: int, last: int, *, contents: bool
) -> None:
    columns = [blobs.c.content] if contents else []
    rows = transaction.execute(
        select(
            message_blobs.c.message,
            message_blobs.c.digest,
            blobs.c.size,
            func.length(blobs.c.content).label("held"),
            *columns,
        )
        .join_from(message_blobs, blobs, blobs.c.digest == message_blobs.c.digest, isouter=True)
        .where(message_blobs.c.message.between(first, last))
    )
    for row in rows:
        if row.message in found:
            kept = None if row.held is None else KeptBytes(row.held, stored_bytes(row.content) if contents else None)
            found[row.message].attachments[row.digest] = KeptAttachment(row.size, kept)


_BELONGING: Final[Sequence[Table]] = (envelopes, message_blobs, fanout_batches, deliveries, receipts, mailbox_entries)


def dangling(transaction: Transaction) -> Iterator[Dangling]:
    """Rows that name a message that is not there: one for each table and message."""
    for table in _BELONGING:
        rows = transaction.execute(
            select(table.c.message).where(_nowhere(table.c.message, messages.c.message)).distinct()
        )
        for number in rows.scalars().all():
            body = transaction.scalar(select(receipts.c.body).where(receipts.c.message == number).limit(1))
            yield Dangling(table.name, number, body)


def lost_receipts(transaction: Transaction) -> Iterator[LostReceipt]:
    """Receipts that mailbox entries hand over and that are not there."""
    rows = transaction.execute(
        select(messages.c.message_id, mailbox_entries.c.connection, mailbox_entries.c.receipt)
        .join_from(mailbox_entries, messages, messages.c.message == mailbox_entries.c.message, isouter=True)
        .where(mailbox_entries.c.receipt.is_not(None), _nowhere(mailbox_entries.c.receipt, receipts.c.receipt))
    )
    return (LostReceipt(row.receipt, row.message_id, row.connection) for row in rows)


def broken_uploads(transaction: Transaction) -> list[str]:
    """Uploads whose submission is not there."""
    return list(
        transaction.scalars(select(uploads.c.upload).where(_nowhere(uploads.c.submission, submissions.c.submission)))
    )


def gaps(transaction: Transaction) -> Iterator[Gap]:
    """Numbers that were given and that no row has any more.

    Only where numbers are given without gaps: SQLite gives the highest plus one inside the transaction; PostgreSQL
    draws a number also for what is rolled back or conflicts.
    """
    if transaction.dialect.name != "sqlite":
        return
    # Not of mailbox entries: those of receipts that were fetched are dropped with the payload.
    for table, number in ((messages, messages.c.message), (receipts, receipts.c.receipt)):
        following = table.alias().c[number.name]
        before = select(number).where(~exists().where(following == number + 1)).order_by(number)
        ends = list(transaction.scalars(before))
        starts = [0, *ends[:-1]] if _begins_late(transaction, number) else ends[:-1]
        for end in starts:
            after = transaction.execute(select(func.min(number)).where(number > end)).scalar_one()
            yield Gap(table.name, end + 1, after - 1)


def _begins_late(transaction: Transaction, number: SqlColumn[int]) -> bool:
    first = transaction.scalar(select(func.min(number)))
    return first is not None and first > 1


def versions(transaction: Transaction) -> Iterator[KeptVersion]:
    """Every version of the directory, in order."""
    rows = transaction.execute(
        select(
            directory_versions.c.number,
            directory_versions.c.digest,
            directory_versions.c.issued_at,
            directory_versions.c.document,
        ).order_by(directory_versions.c.number)
    )
    return (KeptVersion(row.number, row.digest, row.issued_at, row.document) for row in rows)


def still_kept(transaction: Transaction, message: int) -> bool:
    """True if the payload of a message is to be here."""
    kept = transaction.scalar(select(messages.c.purged_at.is_(None)).where(messages.c.message == message))
    return bool(kept)


def _nowhere(number: SqlColumn[int], key: SqlColumn[int]) -> ColumnElement[bool]:
    return ~exists().where(key == number)
