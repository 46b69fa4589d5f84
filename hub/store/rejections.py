"""Receipts of refused submissions: the newest of each message, a set number of each connection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select

from hub.store.metadata import Transaction
from hub.store.rejection_tables import rejections
from hub.store.submissions import SubmissionKey
from schemas.envelope import Sha256Hex
from schemas.receipts import SignedReceipt


@dataclass(frozen=True, slots=True)
class StoredRejection:
    """That the submission `key` was refused, when, by which rule, and the hub's signed word for it."""

    key: SubmissionKey
    rejected_at: datetime
    rule: str
    signed: SignedReceipt


def put(transaction: Transaction, rejection: StoredRejection, *, most: int) -> None:
    """Keep `rejection` in place of an earlier one of the same message, and no more than `most` of its connection."""
    columns, key = rejections.c, rejection.key
    transaction.execute(
        delete(rejections).where(columns.message_id == key.message_id, columns.from_code == key.from_code)
    )
    transaction.execute(
        insert(rejections),
        {
            "connection": key.connection,
            "message_id": key.message_id,
            "from_code": key.from_code,
            "rejected_at": rejection.rejected_at,
            "rule": rejection.rule,
            "receipt": rejection.signed.receipt,
            "proof": rejection.signed.proof,
        },
    )
    oldest_kept = (
        select(columns.rejection)
        .where(columns.connection == key.connection)
        .order_by(columns.rejection.desc())
        .limit(1)
        .offset(most - 1)
    )
    last: int | None = transaction.scalar(oldest_kept)
    if last is not None:
        transaction.execute(delete(rejections).where(columns.connection == key.connection, columns.rejection < last))


def of_message(transaction: Transaction, message_id: Sha256Hex) -> list[StoredRejection]:
    """The refusals of a message, the oldest first; one for each code that it was said to be from."""
    rows = transaction.execute(
        select(rejections).where(rejections.c.message_id == message_id).order_by(rejections.c.rejection)
    )
    return [
        StoredRejection(
            SubmissionKey(row.connection, row.from_code, row.message_id),
            row.rejected_at,
            row.rule,
            SignedReceipt(row.receipt, row.proof),
        )
        for row in rows
    ]


def ids_beginning(transaction: Transaction, digits: str, *, limit: int) -> list[Sha256Hex]:
    """Up to `limit` ids of refused messages that begin with `digits`."""
    column = rejections.c.message_id
    # `g` comes after every hexadecimal digit: a range, which the index answers.
    within = select(column).where(column >= digits, column < digits + "g").distinct().order_by(column).limit(limit)
    return list(transaction.scalars(within))
