"""What connections ask about the units below their agencies."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    code = sa.String(35).with_variant(sa.String(35, collation="C"), "postgresql")
    op.create_table(
        "unit_requests",
        sa.Column("code", code, nullable=False),
        sa.Column("connection", sa.String(64), nullable=False),
        sa.Column("wish", sa.String(16), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("mail", sa.String(254), nullable=False),
        sa.Column("phone", sa.String(40), nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("refused_at", sa.BigInteger),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("code", name="pk_unit_requests"),
        sa.ForeignKeyConstraint(["connection"], ["connections.connection"], name="fk_unit_requests_connection"),
    )
    op.create_index("ix_unit_requests_connection_asked_at", "unit_requests", ["connection", "asked_at"])
    op.create_table(
        "unit_changes",
        sa.Column("connection", sa.String(64), nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("changes", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("connection", name="pk_unit_changes"),
        sa.ForeignKeyConstraint(["connection"], ["connections.connection"], name="fk_unit_changes_connection"),
    )
