"""Tables of how this record and the hub's stand to each other: marks, epochs, and what is brought again."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
)

from node.store.metadata import Digest, RowNumber, metadata
from runtime.columns import Instant

#: One row. `mark` counts what was taken out of the mailbox. `epoch` is the hub's for which all was queued that a new
#: one asks for, `restored_at` when a restored hub was last met; in `directory_epoch` the copy of the directory was
#: found to share the hub's history. `catching_up_from`, while a restored node catches up: from when on, by the hub's
#: clock, it asks for what it had sent.
hub_standing = Table(
    "hub_standing",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="only"), primary_key=True, autoincrement=False),
    Column("mark", BigInteger, nullable=False),
    Column("epoch", String(64)),
    Column("restored_at", Instant),
    Column("directory_epoch", String(64)),
    Column("catching_up_from", Instant),
)

#: One row: the node whose record this is, by the name of its hub and its connection there.
record_owner = Table(
    "record_owner",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="only"), primary_key=True, autoincrement=False),
    Column("hub", String(255), nullable=False),
    Column("connection", String(64), nullable=False),
)

#: Epochs that the hub was in before: whatever still speaks of one is late.
left_epochs = Table(
    "left_epochs",
    metadata,
    Column("epoch", String(64), primary_key=True),
    Column("left_at", Instant, nullable=False),
)

#: Accepted messages of ours that a restored hub may lack: each is submitted once more, as it was. What the outbox knows
#: of them stays. `due_at` is a resting one's next try.
resubmissions = Table(
    "resubmissions",
    metadata,
    Column("message_id", Digest, ForeignKey("messages.message_id"), primary_key=True),
    Column("lane", SmallInteger, nullable=False),
    Column("sequence", RowNumber, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant),
    Column("trouble_code", String(64)),
    Column("trouble_text", Text),
    Index("ix_resubmissions_due_at_lane_sequence", "due_at", "lane", "sequence"),
)

#: Messages of ours that were fetched back, whose attachments are still to be.
attachment_recoveries = Table(
    "attachment_recoveries",
    metadata,
    Column("message_id", Digest, ForeignKey("messages.message_id"), primary_key=True),
    Column("lane", SmallInteger, nullable=False),
    Column("sequence", RowNumber, nullable=False),
)
