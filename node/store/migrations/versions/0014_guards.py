"""What guards said of a message, and who answered for one that they would have refused."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox", sa.Column("verdicts", sa.JSON))
    op.add_column("outbox", sa.Column("override_by", sa.Text))
    op.add_column("outbox", sa.Column("override_reason", sa.Text))
    op.add_column("handovers", sa.Column("verdicts", sa.JSON))
