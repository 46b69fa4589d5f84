"""Uploads are found by their digests: a sweep spares what a submission has uploaded."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_uploads_digest", "uploads", ["digest"])
