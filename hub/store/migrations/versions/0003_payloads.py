"""Payloads apart from metadata, so that they can be dropped."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "envelopes",
        # As in 0002: exactly an INTEGER, so that SQLite takes the number for the row's own.
        sa.Column("message", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("message", name="pk_envelopes"),
        sa.ForeignKeyConstraint(["message"], ["messages.message"], name="fk_envelopes_message"),
    )
    op.execute("INSERT INTO envelopes (message, body) SELECT message, envelope FROM messages")
    op.add_column("messages", sa.Column("purged_at", sa.BigInteger))
    op.add_column("messages", sa.Column("kept_from", sa.BigInteger))
    op.execute("UPDATE messages SET kept_from = accepted_at")
    # In place on both: SQLite's way by a copy of the table would drop what the other tables refer to.
    op.drop_column("messages", "envelope")
    op.create_index(
        "ix_messages_kept_from",
        "messages",
        ["kept_from"],
        sqlite_where=sa.text("kept_from IS NOT NULL"),
        postgresql_where=sa.text("kept_from IS NOT NULL"),
    )
    op.create_index(
        "ix_mailbox_entries_message_receipts",
        "mailbox_entries",
        ["message"],
        sqlite_where=sa.text("receipt IS NOT NULL"),
        postgresql_where=sa.text("receipt IS NOT NULL"),
    )
