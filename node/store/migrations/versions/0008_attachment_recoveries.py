"""Messages that were fetched back and whose attachments are still to be."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attachment_recoveries",
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("lane", sa.SmallInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name="pk_attachment_recoveries"),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.message_id"], name="fk_attachment_recoveries_message_id"
        ),
    )
