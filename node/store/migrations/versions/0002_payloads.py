"""When a payload was dropped, and from when the time to keep it counts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("purged_at", sa.BigInteger))
    op.add_column("attachments", sa.Column("purged_at", sa.BigInteger))
    op.drop_index("ix_attachments_digest", "attachments")
    op.create_index(
        "ix_attachments_digest",
        "attachments",
        ["digest"],
        sqlite_where=sa.text("purged_at IS NULL"),
        postgresql_where=sa.text("purged_at IS NULL"),
    )
    for table, since in (("outbox", "created_at"), ("inbox", "received_at")):
        op.add_column(table, sa.Column("kept_from", sa.BigInteger))
        op.execute(f"UPDATE {table} SET kept_from = {since}")
        op.create_index(
            f"ix_{table}_kept_from",
            table,
            ["kept_from"],
            sqlite_where=sa.text("kept_from IS NOT NULL"),
            postgresql_where=sa.text("kept_from IS NOT NULL"),
        )
