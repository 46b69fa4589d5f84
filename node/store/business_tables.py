"""Tables of the business life of documents: requests and their answers, what was sent together, deadlines."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, SmallInteger, String, Table, Text

from node.store.metadata import Code, Digest, metadata
from runtime.columns import Instant

#: A recall or an update (`message_id`), ours or one that came, asks the recipient `code` for something about the
#: document `about`. `answer` is the status that closed it.
requests = Table(
    "requests",
    metadata,
    Column("message_id", Digest, ForeignKey("messages.message_id"), primary_key=True),
    Column("about", Digest, primary_key=True),
    Column("code", Code, primary_key=True),
    Column("kind", SmallInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("answer", Digest),
    Column("answered_at", Instant),
    Column("reason", Text),
    Index("ix_requests_about_code", "about", "code"),
    sqlite_with_rowid=False,
)

#: Messages of ours that were submitted as part of another one, `leader`, under its key. A copy holds what `document`
#: says, for a receiver who was added to it.
companions = Table(
    "companions",
    metadata,
    Column("message_id", Digest, ForeignKey("messages.message_id"), primary_key=True),
    Column("leader", Digest, nullable=False),
    Column("role", String(16), nullable=False),
    Column("document", Digest),
    Index("ix_companions_leader", "leader"),
    Index("ix_companions_document", "document"),
    sqlite_with_rowid=False,
)

#: Until when one of our agencies is to have finished a document that came. `near_at`, `past_at`: when that was told.
deadlines = Table(
    "deadlines",
    metadata,
    Column("message_id", Digest, ForeignKey("messages.message_id"), primary_key=True),
    Column("code", Code, primary_key=True),
    Column("due_at", Instant, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("near_at", Instant),
    Column("past_at", Instant),
    Index("ix_deadlines_stage_due_at", "stage", "due_at"),
    sqlite_with_rowid=False,
)
