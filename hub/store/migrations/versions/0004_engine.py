"""The delivery engine: rounds of deliveries, what messages speak of, indices of what is not delivered."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UNDELIVERED = sa.text("state <> 'delivered'")
ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("round", sa.Integer, nullable=False, server_default="0"))
    op.add_column("receipts", sa.Column("round", sa.Integer, nullable=False, server_default="0"))
    op.create_index(
        "uq_receipts_message_recipient_event_round",
        "receipts",
        ["message", "recipient", "event", "round"],
        unique=True,
    )
    op.drop_index("uq_receipts_message_recipient_event", "receipts")
    for name, columns in {
        "ix_deliveries_undelivered": ["state", "updated_at"],
        "ix_deliveries_undelivered_recipient": ["recipient", "updated_at"],
    }.items():
        op.create_index(name, "deliveries", columns, sqlite_where=UNDELIVERED, postgresql_where=UNDELIVERED)
    op.create_index(
        "ix_mailbox_entries_lane_expiring",
        "mailbox_entries",
        ["lane", "expires_at"],
        sqlite_where=sa.text("open = 1"),
        postgresql_where=sa.text("open"),
    )
    op.drop_index("ix_mailbox_entries_expiring", "mailbox_entries")
    op.create_index("ix_messages_document_id", "messages", ["document_id"])
    # What was accepted before has no rows here: its statuses are found by their DocumentId all the same.
    op.create_table(
        "messages_about",
        sa.Column("about", ROW_NUMBER, nullable=False),
        sa.Column("message", ROW_NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("about", "message", name="pk_messages_about"),
        sa.ForeignKeyConstraint(["about"], ["messages.message"], name="fk_messages_about_about"),
        sa.ForeignKeyConstraint(["message"], ["messages.message"], name="fk_messages_about_message"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_messages_about_message", "messages_about", ["message"])
