"""Tables of receipts, of what is still to be reported to the hub, and of what was last seen of it."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)

from node.store.metadata import Code, Digest, RowNumber, metadata
from runtime.columns import Instant

#: A proof signs one receipt or many; by the digest of its bytes.
proofs = Table(
    "proofs",
    metadata,
    Column("digest", Digest, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

#: Receipts, ours and others', each verified before it was stored. One for each event, so that no peer can fill the disk
#: with repetitions: `party` is the issuer (kind and name) and the recipient in one text. A failed consignment may come
#: in several rounds, for the hub's operator can have a delivery that ended offered anew.
receipts = Table(
    "receipts",
    metadata,
    Column("receipt", RowNumber, primary_key=True, autoincrement=True),
    Column("message_id", Digest, ForeignKey("messages.message_id"), nullable=False),
    Column("event", String(32), nullable=False),
    Column("party", Text, nullable=False),
    Column("receipt_id", Text, nullable=False),
    Column("issuer_kind", String(16), nullable=False),
    Column("issuer_name", Text, nullable=False),
    Column("recipient", Code),
    Column("occurred_at", Instant, nullable=False),
    Column("stored_at", Instant, nullable=False),
    Column("reason_code", String(64)),
    Column("reason_text", Text),
    Column("body", LargeBinary, nullable=False),
    Column("proof", Digest, ForeignKey("proofs.digest"), nullable=False),
    Column("round", Integer, nullable=False, server_default=text("0")),
    Index("uq_receipts_message_id_event_party_round", "message_id", "event", "party", "round", unique=True),
)

#: What the hub is still to be told, in order: the outcome of a mailbox entry, or a receipt by itself (`entry` is None).
reports = Table(
    "reports",
    metadata,
    Column("report", RowNumber, primary_key=True, autoincrement=True),
    Column("entry", RowNumber),
    Column("lease", Text),
    Column("outcome", String(16)),
    Column("lane", SmallInteger, nullable=False, server_default="3"),
    Index("uq_reports_entry", "entry", unique=True),
    Index("ix_reports_lane_report", "lane", "report"),
)

report_receipts = Table(
    "report_receipts",
    metadata,
    Column("report", RowNumber, ForeignKey("reports.report"), primary_key=True),
    Column("receipt", RowNumber, ForeignKey("receipts.receipt"), primary_key=True),
    Index("ix_report_receipts_receipt", "receipt"),
    sqlite_with_rowid=False,
)

#: One row: the hub as the daemon last saw it.
hub_contact = Table(
    "hub_contact",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="only"), primary_key=True, autoincrement=False),
    Column("last_contact_at", Instant),
    Column("unreachable_since", Instant),
    Column("trouble_code", String(64)),
    Column("trouble_text", Text),
    Column("epoch", String(64)),
    Column("clock_ahead", Float),
    Column("directory_latest", Integer),
)
