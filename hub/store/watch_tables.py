"""Tables of the watch over connections: who fetched when, what the operator is to be told, and whom the hub pushes to.

A row for each connection at most: whatever reads them whole reads little.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, text

from hub.store.metadata import metadata
from runtime.columns import Instant

_CONNECTION = String(64)

#: One row: when a hub process last looked, and since when one has looked without a gap. Nobody can fetch from a hub
#: that is down, so silence counts from `since` at the earliest.
hub_watch = Table(
    "hub_watch",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="only"), primary_key=True, autoincrement=False),
    Column("since", Instant, nullable=False),
    Column("looked_at", Instant, nullable=False),
)

#: When a connection last fetched, to half a minute, and since when it is silent, which the operator was told then.
#: Before it fetched it is awaited from `watched_from` on: its enrolment, or the end of a suspension.
connection_watch = Table(
    "connection_watch",
    metadata,
    Column("connection", _CONNECTION, ForeignKey("connections.connection"), primary_key=True),
    Column("watched_from", Instant, nullable=False),
    Column("fetched_at", Instant),
    Column("silent_since", Instant),
)
# SQLite takes a partial index only for a condition that is spelt the same.
Index(
    "ix_connection_watch_silent_since",
    connection_watch.c.silent_since,
    sqlite_where=text("silent_since IS NOT NULL"),
    postgresql_where=text("silent_since IS NOT NULL"),
)

#: Alerts that the operator's webhook has not taken yet, in order; `document` is what is sent.
alerts = Table(
    "alerts",
    metadata,
    Column("alert", Integer, primary_key=True, autoincrement=True),
    Column("alert_id", String(32), nullable=False),
    Column("event", String(32), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("last_error", Text),
    Index("ix_alerts_due_at", "due_at"),
)

#: Where the hub pushes to, and how the breaker of each endpoint stands, as `hub.store.pushing.Breaker` says.
push_endpoints = Table(
    "push_endpoints",
    metadata,
    Column("connection", _CONNECTION, ForeignKey("connections.connection"), primary_key=True),
    Column("url", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("openings", Integer, nullable=False),
    Column("probe_at", Instant),
    Column("last_error", Text),
)
