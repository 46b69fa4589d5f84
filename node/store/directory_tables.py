"""Tables of the directory's copy.

What was replaced is kept: a seal is judged by the directory in which its message was accepted. `since` is the version
that brought a row, `until` the one that replaced it, None while it holds.
"""

from __future__ import annotations

from sqlalchemy import JSON, Column, Index, Integer, LargeBinary, String, Table, Text

from node.store.metadata import Code, Digest, metadata
from runtime.columns import Instant

directory_versions = Table(
    "directory_versions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("digest", Digest, nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("applied_at", Instant, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

#: `folded` is the name as people search for it: small letters without marks.
directory_agencies = Table(
    "directory_agencies",
    metadata,
    Column("code", Code, primary_key=True),
    Column("since", Integer, primary_key=True, autoincrement=False),
    Column("until", Integer),
    Column("name", Text, nullable=False),
    Column("connection", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("folded", Text, nullable=False, server_default=""),
    Index("ix_directory_agencies_connection_code", "connection", "code"),
)

directory_older_codes = Table(
    "directory_older_codes",
    metadata,
    Column("older_code", Code, primary_key=True),
    Column("code", Code, primary_key=True),
    Column("since", Integer, primary_key=True, autoincrement=False),
    Column("until", Integer),
    Index("ix_directory_older_codes_code", "code"),
)

directory_connections = Table(
    "directory_connections",
    metadata,
    Column("connection", String(64), primary_key=True),
    Column("since", Integer, primary_key=True, autoincrement=False),
    Column("until", Integer),
    Column("name", Text, nullable=False),
    Column("status", String(16), nullable=False),
)

directory_certificates = Table(
    "directory_certificates",
    metadata,
    Column("connection", String(64), primary_key=True),
    Column("fingerprint", Digest, primary_key=True),
    Column("since", Integer, primary_key=True, autoincrement=False),
    Column("until", Integer),
    Column("certificate", LargeBinary, nullable=False),
)

directory_anchors = Table(
    "directory_anchors",
    metadata,
    Column("fingerprint", Digest, primary_key=True),
    Column("since", Integer, primary_key=True, autoincrement=False),
    Column("until", Integer),
    Column("certificate", LargeBinary, nullable=False),
    Column("prefixes", JSON, nullable=False),
)

#: `group` is a word of SQL. The members stand as the version writes them, sorted.
directory_groups = Table(
    "directory_groups",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("since", Integer, primary_key=True, autoincrement=False),
    Column("until", Integer),
    Column("title", Text, nullable=False),
    Column("members", JSON, nullable=False),
)
