"""Which attachments are held, for which messages, and who may read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select

from hub.store.exchange_tables import blobs, mailbox_entries, message_blobs, messages, uploads
from hub.store.metadata import Transaction
from hub.store.reading import reads
from hub.store.retention import naming_message
from runtime.columns import Upsert
from runtime.prepared import Prepared
from schemas.envelope import Sha256Hex


@dataclass(frozen=True, slots=True)
class Blob:
    """An attachment: `content` for a short one, None where the bytes are a file."""

    digest: Sha256Hex
    size: int
    content: bytes | None


@dataclass(frozen=True, slots=True)
class NamedBlob:
    """An attachment that a message names; an `inline` one comes along in mailbox answers."""

    blob: Blob
    inline: bool


_ADD = Prepared(
    Upsert(
        blobs,
        lambda adding: adding.on_conflict_do_update(
            index_elements=[blobs.c.digest],
            set_={"content": adding.excluded.content},
            where=blobs.c.content.is_(None) & adding.excluded.content.is_not(None),
        ),
    )
)
_NAME = Prepared(insert(message_blobs))


def add(transaction: Transaction, named: Mapping[int, Sequence[NamedBlob]]) -> None:
    """Note the attachments of messages, by number.

    One that is held already stays as it is, one whose bytes went comes back.
    """
    blobs_named = [each.blob for of_message in named.values() for each in of_message]
    _ADD.run_each(
        transaction, [{"digest": blob.digest, "size": blob.size, "content": blob.content} for blob in blobs_named]
    )
    _NAME.run_each(
        transaction,
        [
            {"message": message, "digest": each.blob.digest, "inline": each.inline}
            for message, of_message in named.items()
            for each in of_message
        ],
    )


def unnamed(transaction: Transaction, digests: Sequence[Sha256Hex]) -> list[Sha256Hex]:
    """Those of `digests` that neither a message with a payload names nor a submission that waits for others."""
    known = {
        *transaction.scalars(select(blobs.c.digest).where(blobs.c.digest.in_(digests), naming_message().is_not(None))),
        *transaction.scalars(select(uploads.c.digest).where(uploads.c.digest.in_(digests), uploads.c.complete)),
    }
    return [digest for digest in digests if digest not in known]


def named_files(transaction: Transaction) -> Iterator[Sha256Hex]:
    """Every attachment that is a file and that a message with a payload names, in the order of digests."""
    named = select(blobs.c.digest).where(blobs.c.content.is_(None), naming_message().is_not(None))
    yield from transaction.scalars(named.order_by(blobs.c.digest), execution_options={"yield_per": 1000})


def readable(transaction: Transaction, digest: Sha256Hex, connection: str) -> Blob | None:
    """The attachment, if `connection` may read a message with a payload that names it."""
    row = transaction.execute(
        select(blobs.c.digest, blobs.c.size, blobs.c.content)
        .join_from(message_blobs, messages, messages.c.message == message_blobs.c.message)
        .join(blobs, blobs.c.digest == message_blobs.c.digest)
        .where(message_blobs.c.digest == digest, messages.c.purged_at.is_(None), reads(connection))
        # As in `naming_message`: those whose payload is gone are the oldest.
        .order_by(message_blobs.c.message.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Blob(row.digest, row.size, row.content)


def purged_at(transaction: Transaction, digest: Sha256Hex, connection: str) -> datetime | None:
    """When the payload of the newest message was dropped that named the attachment, as `connection` may know."""
    found: datetime | None = transaction.scalar(
        select(messages.c.purged_at)
        .join_from(message_blobs, messages, messages.c.message == message_blobs.c.message)
        .where(message_blobs.c.digest == digest, messages.c.purged_at.is_not(None), reads(connection))
        .order_by(message_blobs.c.message.desc())
        .limit(1)
    )
    return found


def readable_by_lease(transaction: Transaction, digest: Sha256Hex, connection: str, entry: int) -> Blob | None:
    """The attachment, if the message that `entry` hands to `connection` now names it: `readable` without a search."""
    row = transaction.execute(
        select(blobs.c.digest, blobs.c.size, blobs.c.content)
        .join_from(mailbox_entries, message_blobs, message_blobs.c.message == mailbox_entries.c.message)
        .join(messages, messages.c.message == mailbox_entries.c.message)
        .join(blobs, blobs.c.digest == message_blobs.c.digest)
        .where(
            mailbox_entries.c.entry == entry,
            mailbox_entries.c.connection == connection,
            mailbox_entries.c.receipt.is_(None),
            mailbox_entries.c.open,
            message_blobs.c.digest == digest,
            messages.c.purged_at.is_(None),
        )
    ).one_or_none()
    return None if row is None else Blob(row.digest, row.size, row.content)
