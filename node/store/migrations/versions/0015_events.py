"""A numbered log of what happened to the node's messages, for software that follows it."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


CODE = sa.String(35).with_variant(sa.String(35, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("code", CODE),
        sa.Column("text", sa.Text),
        sa.PrimaryKeyConstraint("number", name="pk_events"),
    )
