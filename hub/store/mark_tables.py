"""The table of marks: how far each connection's node has come in its own counting, as far as the hub was told.

A node counts what it takes out of its mailbox. A node that knows a lower number than its hub was put back to a backup.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table

from hub.store.metadata import metadata

#: `reported` is the highest mark that a report of the connection bore; `newest_message` what it submitted last.
connection_marks = Table(
    "connection_marks",
    metadata,
    Column("connection", String(64), ForeignKey("connections.connection"), primary_key=True),
    Column("reported", BigInteger, nullable=False),
    Column("newest_message", String(64)),
)
