"""Receipts of what was refused."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rejections",
        # As in 0002: SQLite counts by itself only in a column that is exactly an INTEGER.
        sa.Column(
            "rejection", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("connection", sa.String(64), nullable=False),
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("from_code", sa.String(35).with_variant(sa.String(35, collation="C"), "postgresql"), nullable=False),
        sa.Column("rejected_at", sa.BigInteger, nullable=False),
        sa.Column("rule", sa.String(100), nullable=False),
        sa.Column("receipt", sa.LargeBinary, nullable=False),
        sa.Column("proof", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("rejection", name="pk_rejections"),
        sa.ForeignKeyConstraint(["connection"], ["connections.connection"], name="fk_rejections_connection"),
    )
    op.create_index("uq_rejections_message_id_from_code", "rejections", ["message_id", "from_code"], unique=True)
    op.create_index("ix_rejections_connection_rejection", "rejections", ["connection", "rejection"])
