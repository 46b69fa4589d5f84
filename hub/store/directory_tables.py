"""Tables of the agency directory and of admission: who exists, who serves them, with which keys, by whose word."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from hub.store.metadata import code_text, metadata
from runtime.columns import Instant

#: One row: what the hub is. A restore changes `epoch`; `probed_at` is written to see that writing works.
hub_state = Table(
    "hub_state",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="only"), primary_key=True, autoincrement=False),
    Column("name", String(255), nullable=False),
    Column("epoch", String(32), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("probed_at", Instant),
)

#: Nodes (and later child hubs), by the id that their TLS certificates carry.
connections = Table(
    "connections",
    metadata,
    Column("connection", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
)

agencies = Table(
    "agencies",
    metadata,
    Column("code", code_text(), primary_key=True),
    Column("name", Text, nullable=False),
    Column("connection", String(64), ForeignKey("connections.connection"), nullable=False),
    Column("status", String(16), nullable=False),
    Column("added_at", Instant, nullable=False),
    Index("ix_agencies_connection_code", "connection", "code"),
)

#: Older codes, each of exactly one agency. A code of today is never also an older one: the use case sees to it.
older_codes = Table(
    "older_codes",
    metadata,
    Column("older_code", code_text(), primary_key=True),
    Column("code", code_text(), ForeignKey("agencies.code"), nullable=False),
    Index("ix_older_codes_code", "code"),
)

#: Agencies that are written to together. A group without members was withdrawn; its name stays.
recipient_groups = Table(
    "recipient_groups",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("title", Text, nullable=False),
    Column("changed_at", Instant, nullable=False),
)

#: Members as people write them: codes, of today or older, and selectors such as `H23.*`.
group_members = Table(
    "group_members",
    metadata,
    Column("name", String(64), ForeignKey("recipient_groups.name"), primary_key=True),
    Column("member", code_text(), primary_key=True),
    sqlite_with_rowid=False,
)

#: Certificates whose keys may seal for every agency that the connection serves.
seal_certificates = Table(
    "seal_certificates",
    metadata,
    Column("connection", String(64), ForeignKey("connections.connection"), primary_key=True),
    Column("fingerprint", String(64), primary_key=True),
    Column("certificate", LargeBinary, nullable=False),
    Column("added_at", Instant, nullable=False),
)

#: TLS certificates that are let in. A row goes when another enrolment replaces it.
client_certificates = Table(
    "client_certificates",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("connection", String(64), ForeignKey("connections.connection"), nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("issued_at", Instant, nullable=False),
    Index("ix_client_certificates_connection", "connection"),
)

#: Whom seals are believed under, and for which code prefixes (a JSON list; `""` stands for all).
trust_anchors = Table(
    "trust_anchors",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("certificate", LargeBinary, nullable=False),
    Column("prefixes", JSON, nullable=False),
    Column("added_at", Instant, nullable=False),
)

#: The signed directory, version by version, as the bytes that were signed.
directory_versions = Table(
    "directory_versions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
)

#: One-time tokens, known by the digest of their secret alone. `answer` is what the one use was answered.
enrolment_tokens = Table(
    "enrolment_tokens",
    metadata,
    Column("secret_digest", String(64), primary_key=True),
    Column("connection", String(64), ForeignKey("connections.connection"), nullable=False),
    Column("withdraw_seals", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    Column("request_digest", String(64)),
    Column("answer", LargeBinary),
    Index("ix_enrolment_tokens_connection", "connection"),
)

#: Who changed what, and when. Rows are only ever added.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("detail", JSON, nullable=False),
    Index("ix_audit_log_subject_id", "subject", "id"),
)
