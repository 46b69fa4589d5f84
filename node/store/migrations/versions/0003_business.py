"""Business life: requests and their answers, what was sent together, deadlines."""

from datetime import UTC, datetime, timedelta, timezone

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CODE = sa.String(35).with_variant(sa.String(35, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "requests",
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("about", sa.String(64), nullable=False),
        sa.Column("code", CODE, nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.String(64)),
        sa.Column("answered_at", sa.BigInteger()),
        sa.Column("reason", sa.Text()),
        sa.ForeignKeyConstraint(["message_id"], ["messages.message_id"], name="fk_requests_message_id"),
        sa.PrimaryKeyConstraint("message_id", "about", "code", name="pk_requests"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_requests_about_code", "requests", ["about", "code"])
    op.create_table(
        "companions",
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("leader", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("document", sa.String(64)),
        sa.ForeignKeyConstraint(["message_id"], ["messages.message_id"], name="fk_companions_message_id"),
        sa.PrimaryKeyConstraint("message_id", name="pk_companions"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_companions_leader", "companions", ["leader"])
    op.create_index("ix_companions_document", "companions", ["document"])
    op.create_table(
        "deadlines",
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("code", CODE, nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("near_at", sa.BigInteger()),
        sa.Column("past_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["message_id"], ["messages.message_id"], name="fk_deadlines_message_id"),
        sa.PrimaryKeyConstraint("message_id", "code", name="pk_deadlines"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_deadlines_stage_due_at", "deadlines", ["stage", "due_at"])
    _open_known_requests()
    _set_known_deadlines()


def _open_known_requests() -> None:
    """Recalls and updates on record, ours and those that came, with the newest answer that the outbox shows."""
    op.execute(
        """
        INSERT INTO requests (message_id, about, code, kind, state, opened_at, answered_at, reason)
        SELECT m.message_id, a.about, r.code, m.business,
               CASE r.status WHEN '15' THEN 'agreed' WHEN '16' THEN 'refused' WHEN '02' THEN 'refused' ELSE 'open' END,
               o.created_at,
               CASE WHEN r.status IN ('15', '16', '02') THEN r.status_at END,
               CASE WHEN r.status IN ('15', '16', '02') THEN r.status_text END
        FROM messages m JOIN outbox o ON o.message_id = m.message_id
        JOIN about a ON a.message_id = m.message_id JOIN outbox_recipients r ON r.message_id = m.message_id
        WHERE m.business IN (1, 2) AND o.state <> 'refused'
        """
    )
    op.execute(
        """
        INSERT INTO requests (message_id, about, code, kind, state, opened_at)
        SELECT m.message_id, a.about, h.code, m.business, 'open', i.received_at
        FROM messages m JOIN inbox i ON i.message_id = m.message_id
        JOIN about a ON a.message_id = m.message_id JOIN handovers h ON h.message_id = m.message_id
        WHERE m.business IN (1, 2) AND NOT EXISTS (
            SELECT 1 FROM requests q WHERE q.message_id = m.message_id AND q.about = a.about AND q.code = h.code)
        """
    )


def _set_known_deadlines() -> None:
    """Deadlines of documents that came; settled where the agency has said that it finished or refused."""
    connection = op.get_bind()
    rows = connection.execute(
        sa.text(
            """
            SELECT h.message_id, h.code, m.due_date, EXISTS (
                SELECT 1 FROM about a JOIN messages s ON s.message_id = a.message_id
                WHERE a.about = h.message_id AND a.sender = h.code AND s.status IN ('02', '06')) AS settled
            FROM handovers h JOIN messages m ON m.message_id = h.message_id
            WHERE m.due_date IS NOT NULL AND m.business IN (0, 3)
            """
        )
    ).all()
    known = [
        {"message_id": row.message_id, "code": row.code, "due_at": due_at, "stage": "settled" if row.settled else "ahead"}
        for row in rows
        if (due_at := _end_of(row.due_date)) is not None
    ]
    if known:
        connection.execute(
            sa.text(
                "INSERT INTO deadlines (message_id, code, due_at, stage) VALUES (:message_id, :code, :due_at, :stage)"
            ),
            known,
        )


def _end_of(text: str) -> int | None:
    """The last second of the day in Vietnam, as microseconds since 1970; None where the text names no day."""
    for form in ("%Y/%m/%d", "%d/%m/%Y"):
        try:
            day = datetime.strptime(text, form).replace(hour=23, minute=59, second=59, tzinfo=timezone(timedelta(hours=7)))
        except ValueError:
            continue
        return (day - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return None
