"""Entries that were opened again for a restored node are known as such."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("mailbox_entries", sa.Column("replayed", sa.Boolean, nullable=False, server_default=sa.false()))
