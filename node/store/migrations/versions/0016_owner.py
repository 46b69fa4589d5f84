"""Whose record this is."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "record_owner",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("hub", sa.String(255), nullable=False),
        sa.Column("connection", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_record_owner"),
        sa.CheckConstraint("id = 1", name="ck_record_owner_only"),
    )
