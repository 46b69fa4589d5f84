"""How much of an upload came, what its client says of it; room on the disk that is promised to bodies of submissions."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Of an upload that is under way nobody noted how much came: all of it counts as promised until more comes.
    op.add_column("uploads", sa.Column("received", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.add_column("uploads", sa.Column("description", sa.Text))
    op.create_index(
        "ix_uploads_incomplete",
        "uploads",
        ["submission", "size", "received"],
        sqlite_where=sa.text("complete = 0"),
        postgresql_where=sa.text("NOT complete"),
    )
    op.create_table(
        "space_reservations",
        sa.Column("holder", sa.String(32), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("holder", name="pk_space_reservations"),
    )
