"""The exchange: messages, deliveries, mailboxes, receipts, submissions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# As in 0001: compared byte by byte.
CODE = sa.String(35).with_variant(sa.String(35, collation="C"), "postgresql")
# SQLite counts by itself only in a column that is exactly an INTEGER.
ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("content", sa.LargeBinary),
        sa.PrimaryKeyConstraint("digest", name="pk_blobs"),
    )
    op.create_table(
        "proofs",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_proofs"),
    )
    op.create_table(
        "messages",
        sa.Column("message", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("from_code", CODE, nullable=False),
        sa.Column("sender", CODE, nullable=False),
        sa.Column("connection", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("document_id", sa.Text),
        sa.Column("priority", sa.SmallInteger, nullable=False),
        sa.Column("lane", sa.SmallInteger, nullable=False),
        sa.Column("accepted_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("directory_version", sa.Integer, nullable=False),
        sa.Column("recipients_count", sa.Integer, nullable=False),
        sa.Column("recipients_digest", sa.String(64), nullable=False),
        sa.Column("left_out", sa.Text),
        sa.Column("weight", sa.Integer, nullable=False),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("message", name="pk_messages"),
        sa.ForeignKeyConstraint(["connection"], ["connections.connection"], name="fk_messages_connection"),
    )
    op.create_index("uq_messages_message_id_from_code", "messages", ["message_id", "from_code"], unique=True)
    op.create_table(
        "submissions",
        sa.Column("submission", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("connection", sa.String(64), nullable=False),
        sa.Column("from_code", CODE, nullable=False),
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("touched_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("submission", name="pk_submissions"),
        sa.ForeignKeyConstraint(["connection"], ["connections.connection"], name="fk_submissions_connection"),
    )
    op.create_index("ix_submissions_touched_at", "submissions", ["touched_at"])
    op.create_index(
        "uq_submissions_connection_message_id_from_code",
        "submissions",
        ["connection", "message_id", "from_code"],
        unique=True,
    )
    op.create_table(
        "deliveries",
        sa.Column("message", ROW_NUMBER, autoincrement=False, nullable=False),
        sa.Column("recipient", CODE, nullable=False),
        sa.Column("connection", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("last_error", sa.Text),
        sa.PrimaryKeyConstraint("message", "recipient", name="pk_deliveries"),
        sa.ForeignKeyConstraint(["connection"], ["connections.connection"], name="fk_deliveries_connection"),
        sa.ForeignKeyConstraint(["message"], ["messages.message"], name="fk_deliveries_message"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "fanouts",
        sa.Column("message", ROW_NUMBER, autoincrement=False, nullable=False),
        sa.Column("lane", sa.SmallInteger, nullable=False),
        sa.Column("targets", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("message", name="pk_fanouts"),
        sa.ForeignKeyConstraint(["message"], ["messages.message"], name="fk_fanouts_message"),
    )
    op.create_index("ix_fanouts_lane_message", "fanouts", ["lane", "message"])
    op.create_table(
        "message_blobs",
        sa.Column("message", ROW_NUMBER, autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("inline", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("message", "digest", name="pk_message_blobs"),
        sa.ForeignKeyConstraint(["digest"], ["blobs.digest"], name="fk_message_blobs_digest"),
        sa.ForeignKeyConstraint(["message"], ["messages.message"], name="fk_message_blobs_message"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_message_blobs_digest", "message_blobs", ["digest"])
    op.create_table(
        "receipts",
        sa.Column("receipt", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("message", ROW_NUMBER, nullable=False),
        sa.Column("recipient", CODE),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("stored_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("proof", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("receipt", name="pk_receipts"),
        sa.ForeignKeyConstraint(["message"], ["messages.message"], name="fk_receipts_message"),
        sa.ForeignKeyConstraint(["proof"], ["proofs.digest"], name="fk_receipts_proof"),
    )
    op.create_index("uq_receipts_message_recipient_event", "receipts", ["message", "recipient", "event"], unique=True)
    op.create_table(
        "uploads",
        sa.Column("upload", sa.String(32), nullable=False),
        sa.Column("submission", ROW_NUMBER, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("file", sa.String(32), nullable=False),
        sa.Column("complete", sa.Boolean, nullable=False),
        sa.Column("content", sa.LargeBinary),
        sa.PrimaryKeyConstraint("upload", name="pk_uploads"),
        sa.ForeignKeyConstraint(["submission"], ["submissions.submission"], name="fk_uploads_submission"),
    )
    op.create_index("uq_uploads_submission_digest", "uploads", ["submission", "digest"], unique=True)
    op.create_table(
        "mailbox_entries",
        sa.Column("entry", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("connection", sa.String(64), nullable=False),
        sa.Column("lane", sa.SmallInteger, nullable=False),
        sa.Column("message", ROW_NUMBER, nullable=False),
        sa.Column("receipt", ROW_NUMBER),
        sa.Column("codes", sa.Text),
        sa.Column("weight", sa.Integer, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("available_at", sa.BigInteger, nullable=False),
        sa.Column("lease", sa.String(32)),
        sa.Column("lapses", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("last_error", sa.Text),
        sa.Column("expires_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("entry", name="pk_mailbox_entries"),
        sa.ForeignKeyConstraint(["connection"], ["connections.connection"], name="fk_mailbox_entries_connection"),
        sa.ForeignKeyConstraint(["message"], ["messages.message"], name="fk_mailbox_entries_message"),
        sa.ForeignKeyConstraint(["receipt"], ["receipts.receipt"], name="fk_mailbox_entries_receipt"),
    )
    op.create_index(
        "ix_mailbox_entries_expiring",
        "mailbox_entries",
        ["expires_at"],
        sqlite_where=sa.text("open = 1"),
        postgresql_where=sa.text("open"),
    )
    op.create_index(
        "ix_mailbox_entries_waiting",
        "mailbox_entries",
        ["connection", "lane", "entry"],
        sqlite_where=sa.text("open = 1"),
        postgresql_where=sa.text("open"),
    )
    op.create_index(
        "uq_mailbox_entries_message_connection",
        "mailbox_entries",
        ["message", "connection"],
        unique=True,
        sqlite_where=sa.text("receipt IS NULL"),
        postgresql_where=sa.text("receipt IS NULL"),
    )
