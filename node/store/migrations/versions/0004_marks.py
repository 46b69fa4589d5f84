"""Marks, by which a restored node is known; what a restored hub is brought again."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

#: As in 0001: SQLite counts by itself only in a column that is exactly an INTEGER.
ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "hub_standing",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("mark", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.String(64)),
        sa.Column("restored_at", sa.BigInteger),
        sa.Column("directory_epoch", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_hub_standing"),
        sa.CheckConstraint("id = 1", name="ck_hub_standing_only"),
    )
    op.execute(
        "INSERT INTO hub_standing (id, mark, epoch, directory_epoch) SELECT 1, 0, epoch, epoch FROM hub_contact"
    )
    op.create_table(
        "resubmissions",
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("lane", sa.SmallInteger, nullable=False),
        sa.Column("sequence", ROW_NUMBER, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("trouble_code", sa.String(64)),
        sa.Column("trouble_text", sa.Text),
        sa.PrimaryKeyConstraint("message_id", name="pk_resubmissions"),
        sa.ForeignKeyConstraint(["message_id"], ["messages.message_id"], name="fk_resubmissions_message_id"),
    )
    op.create_index("ix_resubmissions_due_at_lane_sequence", "resubmissions", ["due_at", "lane", "sequence"])
    op.create_index("ix_outbox_submission_id", "outbox", ["submission_id"])
