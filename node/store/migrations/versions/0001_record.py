"""The node's record: messages, outbox, inbox, receipts, reports, and the copy of the directory."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Compared byte by byte, so that the codes below a prefix are one range of the index.
CODE = sa.String(35).with_variant(sa.String(35, collation="C"), "postgresql")
# A number that the database gives. SQLite counts by itself only in a column that is exactly an INTEGER.
ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "directory_agencies",
        sa.Column("code", CODE, nullable=False),
        sa.Column("since", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("until", sa.Integer()),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("connection", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("code", "since", name="pk_directory_agencies"),
    )
    op.create_index("ix_directory_agencies_connection_code", "directory_agencies", ["connection", "code"])
    op.create_table(
        "directory_anchors",
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("since", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("until", sa.Integer()),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("prefixes", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", "since", name="pk_directory_anchors"),
    )
    op.create_table(
        "directory_certificates",
        sa.Column("connection", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("since", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("until", sa.Integer()),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "fingerprint", "since", name="pk_directory_certificates"),
    )
    op.create_table(
        "directory_connections",
        sa.Column("connection", sa.String(length=64), nullable=False),
        sa.Column("since", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("until", sa.Integer()),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("connection", "since", name="pk_directory_connections"),
    )
    op.create_table(
        "directory_older_codes",
        sa.Column("older_code", CODE, nullable=False),
        sa.Column("code", CODE, nullable=False),
        sa.Column("since", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("until", sa.Integer()),
        sa.PrimaryKeyConstraint("older_code", "code", "since", name="pk_directory_older_codes"),
    )
    op.create_index("ix_directory_older_codes_code", "directory_older_codes", ["code"])
    op.create_table(
        "directory_versions",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_directory_versions"),
    )
    op.create_table(
        "hub_contact",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_contact_at", sa.BigInteger()),
        sa.Column("unreachable_since", sa.BigInteger()),
        sa.Column("trouble_code", sa.String(length=64)),
        sa.Column("trouble_text", sa.Text()),
        sa.Column("epoch", sa.String(length=64)),
        sa.Column("clock_ahead", sa.Float()),
        sa.Column("directory_latest", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_hub_contact"),
        sa.CheckConstraint("id = 1", name="ck_hub_contact_only"),
    )
    op.create_table(
        "messages",
        sa.Column("sequence", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("sender", CODE, nullable=False),
        sa.Column("sender_name", sa.Text()),
        sa.Column("document_id", sa.Text()),
        sa.Column("subject", sa.Text()),
        sa.Column("business", sa.SmallInteger()),
        sa.Column("status", sa.String(length=2)),
        sa.Column("description", sa.Text()),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("due_date", sa.Text()),
        sa.Column("sealed_bytes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_messages"),
    )
    op.create_index("ix_messages_document_id_sender_sequence", "messages", ["document_id", "sender", "sequence"])
    op.create_index("uq_messages_message_id", "messages", ["message_id"], unique=True)
    op.create_table(
        "proofs",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_proofs"),
    )
    op.create_table(
        "reports",
        sa.Column("report", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("entry", ROW_NUMBER),
        sa.Column("lease", sa.Text()),
        sa.Column("outcome", sa.String(length=16)),
        sa.PrimaryKeyConstraint("report", name="pk_reports"),
    )
    op.create_index("uq_reports_entry", "reports", ["entry"], unique=True)
    op.create_table(
        "small_blobs",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_small_blobs"),
    )
    op.create_table(
        "about",
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("about", sa.String(length=64), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("sender", CODE, nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.message_id"], name="fk_about_message_id"),
        sa.PrimaryKeyConstraint("message_id", "about", name="pk_about"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_about_about_sender_message_id", "about", ["about", "sender", "message_id"])
    op.create_table(
        "attachments",
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.message_id"], name="fk_attachments_message_id"),
        sa.PrimaryKeyConstraint("message_id", "position", name="pk_attachments"),
    )
    op.create_index("ix_attachments_digest", "attachments", ["digest"])
    op.create_table(
        "envelopes",
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.message_id"], name="fk_envelopes_message_id"),
        sa.PrimaryKeyConstraint("message_id", name="pk_envelopes"),
    )
    op.create_table(
        "handover_predecessors",
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("code", CODE, nullable=False),
        sa.Column("predecessor", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.message_id"], name="fk_handover_predecessors_message_id"),
        sa.PrimaryKeyConstraint("message_id", "code", "predecessor", name="pk_handover_predecessors"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_handover_predecessors_predecessor_code", "handover_predecessors", ["predecessor", "code"])
    op.create_table(
        "handovers",
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("code", CODE, nullable=False),
        sa.Column("sequence", ROW_NUMBER, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("trouble_code", sa.String(length=64)),
        sa.Column("trouble_text", sa.Text()),
        sa.Column("trouble_element", sa.Text()),
        sa.Column("trouble_line", sa.Integer()),
        sa.Column("trouble_mend", sa.Text()),
        sa.ForeignKeyConstraint(["message_id"], ["messages.message_id"], name="fk_handovers_message_id"),
        sa.PrimaryKeyConstraint("message_id", "code", name="pk_handovers"),
    )
    op.create_index("ix_handovers_state_due_at", "handovers", ["state", "due_at"])
    op.create_index("ix_handovers_state_lane_sequence", "handovers", ["state", "lane", "sequence", "code"])
    op.create_table(
        "inbox",
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("sequence", ROW_NUMBER, nullable=False),
        sa.Column("signer", sa.Text(), nullable=False),
        sa.Column("signer_fingerprint", sa.String(length=64), nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.message_id"], name="fk_inbox_message_id"),
        sa.PrimaryKeyConstraint("message_id", name="pk_inbox"),
    )
    op.create_index("uq_inbox_sequence", "inbox", ["sequence"], unique=True)
    op.create_table(
        "outbox",
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("sequence", ROW_NUMBER, nullable=False),
        sa.Column("adapter", sa.String(length=64), nullable=False),
        sa.Column("sender", CODE, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("submission_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("tried_at", sa.BigInteger()),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("accepted_at", sa.BigInteger()),
        sa.Column("epoch", sa.String(length=64)),
        sa.Column("trouble_code", sa.String(length=64)),
        sa.Column("trouble_text", sa.Text()),
        sa.Column("trouble_element", sa.Text()),
        sa.Column("trouble_line", sa.Integer()),
        sa.Column("trouble_mend", sa.Text()),
        sa.ForeignKeyConstraint(["message_id"], ["messages.message_id"], name="fk_outbox_message_id"),
        sa.PrimaryKeyConstraint("message_id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_state_due_at", "outbox", ["state", "due_at"])
    op.create_index("ix_outbox_state_lane_sequence", "outbox", ["state", "lane", "sequence"])
    op.create_index("uq_outbox_adapter_sender_key", "outbox", ["adapter", "sender", "key"], unique=True)
    op.create_index("uq_outbox_sequence", "outbox", ["sequence"], unique=True)
    op.create_table(
        "outbox_predecessors",
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("predecessor", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.message_id"], name="fk_outbox_predecessors_message_id"),
        sa.PrimaryKeyConstraint("message_id", "predecessor", name="pk_outbox_predecessors"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_outbox_predecessors_predecessor_message_id", "outbox_predecessors", ["predecessor", "message_id"]
    )
    op.create_table(
        "outbox_recipients",
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("code", CODE, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("written", CODE, nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("delivery", sa.String(length=16), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("trouble_code", sa.String(length=64)),
        sa.Column("trouble_text", sa.Text()),
        sa.Column("status", sa.String(length=2)),
        sa.Column("status_text", sa.Text()),
        sa.Column("status_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["message_id"], ["messages.message_id"], name="fk_outbox_recipients_message_id"),
        sa.PrimaryKeyConstraint("message_id", "code", name="pk_outbox_recipients"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "receipts",
        sa.Column("receipt", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("receipt_id", sa.Text(), nullable=False),
        sa.Column("issuer_kind", sa.String(length=16), nullable=False),
        sa.Column("issuer_name", sa.Text(), nullable=False),
        sa.Column("recipient", CODE),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.Column("reason_code", sa.String(length=64)),
        sa.Column("reason_text", sa.Text()),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("proof", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.message_id"], name="fk_receipts_message_id"),
        sa.ForeignKeyConstraint(["proof"], ["proofs.digest"], name="fk_receipts_proof"),
        sa.PrimaryKeyConstraint("receipt", name="pk_receipts"),
    )
    op.create_index("uq_receipts_message_id_event_party", "receipts", ["message_id", "event", "party"], unique=True)
    op.create_table(
        "report_receipts",
        sa.Column("report", ROW_NUMBER, nullable=False),
        sa.Column("receipt", ROW_NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["receipt"], ["receipts.receipt"], name="fk_report_receipts_receipt"),
        sa.ForeignKeyConstraint(["report"], ["reports.report"], name="fk_report_receipts_report"),
        sa.PrimaryKeyConstraint("report", "receipt", name="pk_report_receipts"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_report_receipts_receipt", "report_receipts", ["receipt"])
