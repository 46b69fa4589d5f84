"""Hand-overs that await software which fetches its messages itself; what a document is called and what type it is.

Of messages that came before, number, notation and type stay unknown: they stand in the sealed bytes alone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in ("number", "notation", "document_type"):
        op.add_column("messages", sa.Column(column, sa.Text))
    op.add_column("handovers", sa.Column("adapter", sa.String(64)))
    op.add_column("handovers", sa.Column("offered_at", sa.BigInteger))
    op.add_column("handovers", sa.Column("lock_token", sa.String(32)))
    op.add_column("handovers", sa.Column("locked_until", sa.BigInteger))
    op.create_index(
        "ix_handovers_adapter_state_lane",
        "handovers",
        ["adapter", "state", "lane", "offered_at", "sequence", "code"],
        sqlite_where=sa.text("adapter IS NOT NULL"),
        postgresql_where=sa.text("adapter IS NOT NULL"),
    )
