"""Marks, by which a restored node is known."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "connection_marks",
        sa.Column("connection", sa.String(64), nullable=False),
        sa.Column("reported", sa.BigInteger, nullable=False),
        sa.Column("newest_message", sa.String(64)),
        sa.PrimaryKeyConstraint("connection", name="pk_connection_marks"),
        sa.ForeignKeyConstraint(["connection"], ["connections.connection"], name="fk_connection_marks_connection"),
    )
    op.add_column("mailbox_entries", sa.Column("mark", sa.BigInteger))
    op.create_index(
        "ix_mailbox_entries_marked",
        "mailbox_entries",
        ["connection", "mark"],
        sqlite_where=sa.text("mark IS NOT NULL"),
        postgresql_where=sa.text("mark IS NOT NULL"),
    )
    op.create_index("ix_messages_connection_accepted_at", "messages", ["connection", "accepted_at"])
