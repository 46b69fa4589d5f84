"""Receipts of messages that were refused when they came."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CODE = sa.String(35).with_variant(sa.String(35, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "refusals",
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("recipient", CODE, nullable=False),
        sa.Column("sender", CODE, nullable=False),
        sa.Column("refused_at", sa.BigInteger, nullable=False),
        sa.Column("rule", sa.String(100), nullable=False),
        sa.Column("receipt", sa.LargeBinary, nullable=False),
        sa.Column("proof", sa.LargeBinary, nullable=False),
        sa.Column("acceptance", sa.LargeBinary, nullable=False),
        sa.Column("acceptance_proof", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("message_id", "recipient", name="pk_refusals"),
    )
