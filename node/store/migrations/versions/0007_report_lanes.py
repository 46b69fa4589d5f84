"""Reports have lanes: what is to be said of an express document overtakes the rest."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reports", sa.Column("lane", sa.SmallInteger, nullable=False, server_default="3"))
    op.create_index("ix_reports_lane_report", "reports", ["lane", "report"])
