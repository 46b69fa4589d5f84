"""Tables of messages: what was sent and received, and how far each has come.

`messages` says what a message is, whoever sent it: its id is the digest of its content. `outbox` and `inbox` say what
the node does with it; a message between two agencies of one node stands in both.
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

from node.store.metadata import Code, Digest, RowNumber, metadata
from node.store.verdicts import Verdicts
from runtime.columns import Instant


def _message_column() -> Column[str]:
    return Column("message_id", Digest, ForeignKey("messages.message_id"), primary_key=True)


def _trouble_columns() -> tuple[Column[str], Column[str], Column[str], Column[int], Column[str]]:
    """The parts of an error, as `node.store.records.Trouble` has them."""
    return (
        Column("trouble_code", String(64)),
        Column("trouble_text", Text),
        Column("trouble_element", Text),
        Column("trouble_line", Integer),
        Column("trouble_mend", Text),
    )


def _kept_from_index(table: str) -> Index:
    return Index(
        f"ix_{table}_kept_from",
        "kept_from",
        sqlite_where=text("kept_from IS NOT NULL"),
        postgresql_where=text("kept_from IS NOT NULL"),
    )


#: In the order in which the node came to know them. `sender` is the code of today that stood behind From. `purged_at`
#: is when the payload was dropped: the sealed bytes, and the attachments that no other message names. `number`,
#: `notation` and `document_type` (its name in words) are a document's, and null of what came before they were kept.
messages = Table(
    "messages",
    metadata,
    Column("sequence", RowNumber, primary_key=True, autoincrement=True),
    Column("message_id", Digest, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("sender", Code, nullable=False),
    Column("sender_name", Text),
    Column("document_id", Text),
    Column("subject", Text),
    Column("business", SmallInteger),
    Column("status", String(2)),
    Column("description", Text),
    Column("priority", SmallInteger, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("due_date", Text),
    Column("sealed_bytes", Integer, nullable=False),
    Column("purged_at", Instant),
    Column("number", Text),
    Column("notation", Text),
    Column("document_type", Text),
    Index("uq_messages_message_id", "message_id", unique=True),
    Index("ix_messages_document_id_sender_sequence", "document_id", "sender", "sequence"),
)

#: The bytes that were signed. Apart from what changes: an update of a row writes all of it.
envelopes = Table(
    "envelopes",
    metadata,
    _message_column(),
    Column("sealed", LargeBinary, nullable=False),
)

#: Which messages a recall, update, replacement or status speaks of, and who speaks.
about = Table(
    "about",
    metadata,
    _message_column(),
    Column("about", Digest, primary_key=True),
    Column("position", SmallInteger, nullable=False),
    Column("sender", Code, nullable=False),
    Index("ix_about_about_sender_message_id", "about", "sender", "message_id"),
    sqlite_with_rowid=False,
)

#: What messages name. `purged_at` is their message's: nobody needs the bytes for it any more; or, of a message that was
#: fetched back, the hub had dropped them.
attachments = Table(
    "attachments",
    metadata,
    _message_column(),
    Column("position", SmallInteger, primary_key=True, autoincrement=False),
    Column("digest", Digest, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("purged_at", Instant),
    Index(
        "ix_attachments_digest",
        "digest",
        sqlite_where=text("purged_at IS NULL"),
        postgresql_where=text("purged_at IS NULL"),
    ),
)

#: The bytes of short attachments; the others are files in the folder of blobs.
small_blobs = Table(
    "small_blobs",
    metadata,
    Column("digest", Digest, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

#: Messages of ours. `created_at` and `submission_id` went into what was sealed; `due_at` is a resting one's next try.
#: `verdicts` are the guards', and `override_…` says who answered for what they would have refused.
#: `kept_from` is a moment at which the payload was still needed for sending, as late as is known: the time to keep it
#: counts from there at least. Null, once it is not kept for that any more.
outbox = Table(
    "outbox",
    metadata,
    _message_column(),
    Column("sequence", RowNumber, nullable=False),
    Column("adapter", String(64), nullable=False),
    Column("sender", Code, nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", Digest, nullable=False),
    Column("submission_id", String(36), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("state", String(16), nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("tried_at", Instant),
    Column("due_at", Instant),
    Column("accepted_at", Instant),
    Column("epoch", String(64)),
    *_trouble_columns(),
    Column("kept_from", Instant),
    Column("verdicts", Verdicts),
    Column("override_by", Text),
    Column("override_reason", Text),
    Index("uq_outbox_adapter_sender_key", "adapter", "sender", "key", unique=True),
    Index("uq_outbox_sequence", "sequence", unique=True),
    Index("ix_outbox_state_lane_sequence", "state", "lane", "sequence"),
    Index("ix_outbox_state_due_at", "state", "due_at"),
    Index("ix_outbox_submission_id", "submission_id"),
    _kept_from_index("outbox"),
)

#: One row for each agency that a message of ours goes to: its code of today, and as `written`; `selected` if no To
#: names it. Until the hub has accepted the message these are whom the directory here would select.
outbox_recipients = Table(
    "outbox_recipients",
    metadata,
    _message_column(),
    Column("code", Code, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("written", Code, nullable=False),
    Column("name", Text),
    Column("selected", Boolean, nullable=False, server_default=false()),
    Column("delivery", String(16), nullable=False),
    Column("since", Instant, nullable=False),
    Column("trouble_code", String(64)),
    Column("trouble_text", Text),
    Column("status", String(2)),
    Column("status_text", Text),
    Column("status_at", Instant),
    sqlite_with_rowid=False,
)

#: How a message of ours names recipients by rule. Whom these were, the hub's acceptance decides.
outbox_selectors = Table(
    "outbox_selectors",
    metadata,
    _message_column(),
    Column("position", SmallInteger, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("value", Text, nullable=False),
)

#: A held message and those of ours that the hub must have first.
outbox_predecessors = Table(
    "outbox_predecessors",
    metadata,
    _message_column(),
    Column("predecessor", Digest, primary_key=True),
    Index("ix_outbox_predecessors_predecessor_message_id", "predecessor", "message_id"),
    sqlite_with_rowid=False,
)

#: Messages received. `kept_from` as in `outbox`, for handing over.
inbox = Table(
    "inbox",
    metadata,
    _message_column(),
    Column("sequence", RowNumber, nullable=False),
    Column("signer", Text, nullable=False),
    Column("signer_fingerprint", Digest, nullable=False),
    Column("signed_at", Instant, nullable=False),
    Column("accepted_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("kept_from", Instant),
    _kept_from_index("inbox"),
    Index("uq_inbox_sequence", "sequence", unique=True),
)

#: One hand-over: this message, for this agency. `due_at` is a resting one's next try, a held one's end of the hold.
#: `adapter` is the one that left it to its software to fetch, first at `offered_at`; whoever has `lock_token` settles
#: it, others not before `locked_until`. `verdicts` are the guards', of the last round.
handovers = Table(
    "handovers",
    metadata,
    _message_column(),
    Column("code", Code, primary_key=True),
    Column("sequence", RowNumber, nullable=False),
    Column("state", String(16), nullable=False),
    Column("since", Instant, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant),
    *_trouble_columns(),
    Column("adapter", String(64)),
    Column("offered_at", Instant),
    Column("lock_token", String(32)),
    Column("locked_until", Instant),
    Column("verdicts", Verdicts),
    Index("ix_handovers_state_lane_sequence", "state", "lane", "sequence", "code"),
    Index("ix_handovers_state_due_at", "state", "due_at"),
    Index(
        "ix_handovers_adapter_state_lane",
        *("adapter", "state", "lane", "offered_at", "sequence", "code"),
        sqlite_where=text("adapter IS NOT NULL"),
        postgresql_where=text("adapter IS NOT NULL"),
    ),
)

#: A held hand-over and the messages, here or still to come, that the same agency must have first.
handover_predecessors = Table(
    "handover_predecessors",
    metadata,
    _message_column(),
    Column("code", Code, primary_key=True),
    Column("predecessor", Digest, primary_key=True),
    Index("ix_handover_predecessors_predecessor_code", "predecessor", "code"),
    sqlite_with_rowid=False,
)
