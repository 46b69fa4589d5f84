"""The outbox of work that is announced to a broker."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "work",
        sa.Column(
            "work", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("published_at", sa.BigInteger),
        sa.Column("touched_at", sa.BigInteger, nullable=False),
        sa.Column("held", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("dead_since", sa.BigInteger),
        sa.Column("last_error", sa.Text),
    )
    op.create_index("uq_work_kind_subject", "work", ["kind", "subject"], unique=True)
    unpublished = sa.text("published_at IS NULL")
    op.create_index(
        "ix_work_unpublished", "work", ["due_at"], sqlite_where=unpublished, postgresql_where=unpublished
    )
