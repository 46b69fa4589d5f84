"""Connections watched, and pushed to."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hub_watch",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("looked_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_hub_watch_only")),
        sa.PrimaryKeyConstraint("id", name="pk_hub_watch"),
    )
    op.create_table(
        "connection_watch",
        sa.Column("connection", sa.String(64), nullable=False),
        sa.Column("watched_from", sa.BigInteger, nullable=False),
        sa.Column("fetched_at", sa.BigInteger),
        sa.Column("silent_since", sa.BigInteger),
        sa.PrimaryKeyConstraint("connection", name="pk_connection_watch"),
        sa.ForeignKeyConstraint(["connection"], ["connections.connection"], name="fk_connection_watch_connection"),
    )
    op.create_index(
        "ix_connection_watch_silent_since",
        "connection_watch",
        ["silent_since"],
        sqlite_where=sa.text("silent_since IS NOT NULL"),
        postgresql_where=sa.text("silent_since IS NOT NULL"),
    )
    # Who is enrolled already is watched from now on like everybody else.
    op.execute(
        "INSERT INTO connection_watch (connection, watched_from) "
        "SELECT connection, max(issued_at) FROM client_certificates GROUP BY connection"
    )
    op.create_table(
        "alerts",
        sa.Column("alert", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("alert_id", sa.String(32), nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("last_error", sa.Text),
        sa.PrimaryKeyConstraint("alert", name="pk_alerts"),
    )
    op.create_index("ix_alerts_due_at", "alerts", ["due_at"])
    op.create_table(
        "push_endpoints",
        sa.Column("connection", sa.String(64), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("openings", sa.Integer, nullable=False),
        sa.Column("probe_at", sa.BigInteger),
        sa.Column("last_error", sa.Text),
        sa.PrimaryKeyConstraint("connection", name="pk_push_endpoints"),
        sa.ForeignKeyConstraint(["connection"], ["connections.connection"], name="fk_push_endpoints_connection"),
    )
