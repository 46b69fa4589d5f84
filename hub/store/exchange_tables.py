"""Tables of the exchange: messages, deliveries, attachments, mailboxes, receipts, and what is being submitted.

Codes of agencies are kept as they were resolved when it happened: they are history and no foreign keys. Connections
live as long as the hub.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    false,
    text,
)

from hub.store.metadata import code_text, metadata
from runtime.columns import Instant

#: A number that the database gives, in order. SQLite counts by itself only in a column that is exactly an INTEGER.
RowNumber = BigInteger().with_variant(Integer, "sqlite")

_CONNECTION = String(64)
_DIGEST = String(64)

#: Accepted messages, in the order of acceptance. `from_code` is the code that was signed, `sender` the agency's code of
#: that day. `weight` is what an entry of it takes in a mailbox answer, in bytes. `left_out`: the codes below a selector
#: that were not active, one a line.
messages = Table(
    "messages",
    metadata,
    Column("message", RowNumber, primary_key=True, autoincrement=True),
    Column("message_id", _DIGEST, nullable=False),
    Column("from_code", code_text(), nullable=False),
    Column("sender", code_text(), nullable=False),
    Column("connection", _CONNECTION, ForeignKey("connections.connection"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("document_id", Text),
    Column("priority", SmallInteger, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("accepted_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("directory_version", Integer, nullable=False),
    Column("recipients_count", Integer, nullable=False),
    Column("recipients_digest", _DIGEST, nullable=False),
    Column("left_out", Text),
    Column("weight", Integer, nullable=False),
    Column("purged_at", Instant),
    Column("kept_from", Instant),
    Index("uq_messages_message_id_from_code", "message_id", "from_code", unique=True),
    Index("ix_messages_document_id", "document_id"),
    Index("ix_messages_connection_accepted_at", "connection", "accepted_at"),
    Index(
        "ix_messages_kept_from",
        "kept_from",
        sqlite_where=text("kept_from IS NOT NULL"),
        postgresql_where=text("kept_from IS NOT NULL"),
    ),
)

#: The bytes that were signed. Apart from the metadata, which stays when they are dropped.
envelopes = Table(
    "envelopes",
    metadata,
    Column("message", RowNumber, ForeignKey("messages.message"), primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)

#: Which message speaks of which: recalls, updates, replacements, statuses, answers.
messages_about = Table(
    "messages_about",
    metadata,
    Column("about", RowNumber, ForeignKey("messages.message"), primary_key=True, autoincrement=False),
    Column("message", RowNumber, ForeignKey("messages.message"), primary_key=True, autoincrement=False),
    Index("ix_messages_about_message", "message"),
    sqlite_with_rowid=False,
)

#: Attachments that accepted messages name. `content` is there for short ones; the bytes of others are a file.
blobs = Table(
    "blobs",
    metadata,
    Column("digest", _DIGEST, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("content", LargeBinary),
)

#: Which attachments a message names; those marked `inline` come along in mailbox answers.
message_blobs = Table(
    "message_blobs",
    metadata,
    Column("message", RowNumber, ForeignKey("messages.message"), primary_key=True),
    Column("digest", _DIGEST, ForeignKey("blobs.digest"), primary_key=True),
    Column("inline", Boolean, nullable=False),
    Index("ix_message_blobs_digest", "digest"),
    sqlite_with_rowid=False,
)

#: What is still to be fanned out: batch after batch of a message, in the order of `batch`. `targets` are the deliveries
#: to write, JSON pairs of connection and code; `entries` the connections of which these are the last ones, JSON pairs
#: of connection and codes (one a line): all that it serves of the message, earlier batches included.
fanout_batches = Table(
    "fanout_batches",
    metadata,
    Column("message", RowNumber, ForeignKey("messages.message"), primary_key=True, autoincrement=False),
    Column("batch", Integer, primary_key=True, autoincrement=False),
    Column("lane", SmallInteger, nullable=False),
    Column("targets", Text, nullable=False),
    Column("entries", Text, nullable=False),
    Index("ix_fanout_batches_lane_message_batch", "lane", "message", "batch"),
)

#: One message for one agency. That it is leased is said by its mailbox entry: a lapsed lease changes nothing here.
#: `round` counts how often an operator queued it anew after it had ended.
deliveries = Table(
    "deliveries",
    metadata,
    Column("message", RowNumber, ForeignKey("messages.message"), primary_key=True),
    Column("recipient", code_text(), primary_key=True),
    Column("connection", _CONNECTION, ForeignKey("connections.connection"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("last_error", Text),
    Column("round", Integer, nullable=False, server_default=text("0")),
    sqlite_with_rowid=False,
)
# What is not delivered is looked for and is little; what is delivered would make these indices grow with the hub.
for _name, _columns in {
    "ix_deliveries_undelivered": (deliveries.c.state, deliveries.c.updated_at),
    "ix_deliveries_undelivered_recipient": (deliveries.c.recipient, deliveries.c.updated_at),
}.items():
    Index(
        _name,
        *_columns,
        sqlite_where=text("state <> 'delivered'"),
        postgresql_where=text("state <> 'delivered'"),
    )

#: Signed receipts. A proof signs one or many.
proofs = Table(
    "proofs",
    metadata,
    Column("digest", _DIGEST, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

#: `round` is that of the delivery when it was told: after a redelivery the same can happen once more.
receipts = Table(
    "receipts",
    metadata,
    Column("receipt", RowNumber, primary_key=True, autoincrement=True),
    Column("message", RowNumber, ForeignKey("messages.message"), nullable=False),
    Column("recipient", code_text()),
    Column("event", String(32), nullable=False),
    Column("stored_at", Instant, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("proof", _DIGEST, ForeignKey("proofs.digest"), nullable=False),
    Column("round", Integer, nullable=False, server_default=text("0")),
    Index("uq_receipts_message_recipient_event_round", "message", "recipient", "event", "round", unique=True),
)

#: What waits for each connection, most urgent lane first, then in order. An entry hands over a message for the agencies
#: in `codes` (one a line), or a receipt about one. `available_at` is when it may be leased: at once, when a lease ends,
#: or after a release. `lapses` counts leases that ended without a word, `attempts` the releases. `mark` is the mark of
#: the report that closed it, or told of a part. `replayed`: opened again for a node that was put back to a backup, and
#: not closed since; of its agencies, those that the message was delivered to are past its expiry. `closed_at`: when it
#: was closed last.
mailbox_entries = Table(
    "mailbox_entries",
    metadata,
    Column("entry", RowNumber, primary_key=True, autoincrement=True),
    Column("connection", _CONNECTION, ForeignKey("connections.connection"), nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("message", RowNumber, ForeignKey("messages.message"), nullable=False),
    Column("receipt", RowNumber, ForeignKey("receipts.receipt")),
    Column("codes", Text),
    Column("weight", Integer, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("available_at", Instant, nullable=False),
    Column("lease", String(32)),
    Column("lapses", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text),
    Column("expires_at", Instant),
    Column("mark", BigInteger),
    Column("replayed", Boolean, nullable=False, server_default=false()),
    Column("closed_at", Instant),
)
# SQLite takes a partial index only for a condition that is spelt the same, and there a truth value is spelt `= 1`.
Index(
    "ix_mailbox_entries_waiting",
    mailbox_entries.c.connection,
    mailbox_entries.c.lane,
    mailbox_entries.c.entry,
    sqlite_where=text("open = 1"),
    postgresql_where=text("open"),
)
Index(
    "ix_mailbox_entries_marked",
    mailbox_entries.c.connection,
    mailbox_entries.c.mark,
    sqlite_where=text("mark IS NOT NULL"),
    postgresql_where=text("mark IS NOT NULL"),
)
Index(
    "ix_mailbox_entries_lane_expiring",
    mailbox_entries.c.lane,
    mailbox_entries.c.expires_at,
    sqlite_where=text("open = 1"),
    postgresql_where=text("open"),
)
Index(
    "uq_mailbox_entries_message_connection",
    mailbox_entries.c.message,
    mailbox_entries.c.connection,
    unique=True,
    sqlite_where=mailbox_entries.c.receipt.is_(None),
    postgresql_where=mailbox_entries.c.receipt.is_(None),
)
Index(
    "ix_mailbox_entries_message_receipts",
    mailbox_entries.c.message,
    sqlite_where=mailbox_entries.c.receipt.is_not(None),
    postgresql_where=mailbox_entries.c.receipt.is_not(None),
)

#: Envelopes judged good whose attachments are still on their way.
submissions = Table(
    "submissions",
    metadata,
    Column("submission", RowNumber, primary_key=True, autoincrement=True),
    Column("connection", _CONNECTION, ForeignKey("connections.connection"), nullable=False),
    Column("from_code", code_text(), nullable=False),
    Column("message_id", _DIGEST, nullable=False),
    Column("touched_at", Instant, nullable=False),
    Index("uq_submissions_connection_message_id_from_code", "connection", "message_id", "from_code", unique=True),
    Index("ix_submissions_touched_at", "touched_at"),
)

#: What a submission lacks or has brought. The bytes are the file `file` among the uploads, or `content` if they are
#: few; `complete` says that they were checked against the digest. `received` is how many of them had come when that was
#: last noted; `description` is what the client that created it says of it (tus: Upload-Metadata).
uploads = Table(
    "uploads",
    metadata,
    Column("upload", String(32), primary_key=True),
    Column("submission", RowNumber, ForeignKey("submissions.submission"), nullable=False),
    Column("digest", _DIGEST, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("file", String(32), nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("content", LargeBinary),
    Column("received", BigInteger, nullable=False, server_default=text("0")),
    Column("description", Text),
    Index("uq_uploads_submission_digest", "submission", "digest", unique=True),
    Index("ix_uploads_digest", "digest"),
)
# What is promised to uploads under way is summed up from this index alone.
Index(
    "ix_uploads_incomplete",
    uploads.c.submission,
    uploads.c.size,
    uploads.c.received,
    sqlite_where=text("complete = 0"),
    postgresql_where=text("NOT complete"),
)
