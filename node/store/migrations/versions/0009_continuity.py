"""From when on a restored node asks for what it had sent; epochs of the hub that are over."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hub_standing", sa.Column("catching_up_from", sa.BigInteger))
    op.create_table(
        "left_epochs",
        sa.Column("epoch", sa.String(64), nullable=False),
        sa.Column("left_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("epoch", name="pk_left_epochs"),
    )
