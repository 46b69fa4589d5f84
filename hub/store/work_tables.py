"""The outbox: work that is to be announced to the processes of the hub, by the transaction that makes it necessary."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, String, Table, Text, false, text

from hub.store.exchange_tables import RowNumber
from hub.store.metadata import metadata
from runtime.columns import Instant

#: Work, a row each, from the transaction that makes it necessary until it is done. `subject` is the number of a message
#: to fan out, or a connection to push to; `code` is of the agency that it is about. A row without `published_at` is
#: announced at `due_at`. `touched_at` is the last sign that somebody has it. `held`: not to be hurried when mail comes.
#: `dead_since`: it failed so often that it was set aside.
work = Table(
    "work",
    metadata,
    Column("work", RowNumber, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("code", String(64), nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("published_at", Instant),
    Column("touched_at", Instant, nullable=False),
    Column("held", Boolean, nullable=False, server_default=false()),
    Column("dead_since", Instant),
    Column("last_error", Text),
    Index("uq_work_kind_subject", "kind", "subject", unique=True),
    Index(
        "ix_work_unpublished",
        "due_at",
        sqlite_where=text("published_at IS NULL"),
        postgresql_where=text("published_at IS NULL"),
    ),
)
