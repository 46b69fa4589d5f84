"""A delivery that ended may be queued anew by the hub's operator, and then fail once more."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("receipts", sa.Column("round", sa.Integer, nullable=False, server_default="0"))
    op.create_index(
        "uq_receipts_message_id_event_party_round", "receipts", ["message_id", "event", "party", "round"], unique=True
    )
    op.drop_index("uq_receipts_message_id_event_party", "receipts")
