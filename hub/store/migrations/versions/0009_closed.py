"""Entries say when they were closed; what was opened again for no agency at all is closed."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nobody knows of what is closed already: it counts as closed for long.
    op.add_column("mailbox_entries", sa.Column("closed_at", sa.BigInteger))
    # Replays of before opened entries again that were refused for all their agencies: nothing could end them.
    op.execute(
        sa.text("UPDATE mailbox_entries SET open = :closed, lease = NULL WHERE open AND codes = ''").bindparams(
            sa.bindparam("closed", False, sa.Boolean)
        )
    )
