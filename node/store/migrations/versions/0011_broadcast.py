"""Recipients by rule: selectors of messages of ours, groups of the directory, and names as people search for them."""

import sqlalchemy as sa
from alembic import op

from schemas.vietnamese import folded

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

#: Rows that are in memory at a time.
_TOGETHER = 1000


def upgrade() -> None:
    op.create_table(
        "directory_groups",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("since", sa.Integer, nullable=False),
        sa.Column("until", sa.Integer),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("members", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("name", "since", name="pk_directory_groups"),
    )
    op.create_table(
        "outbox_selectors",
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("position", sa.SmallInteger, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("message_id", "position", name="pk_outbox_selectors"),
        sa.ForeignKeyConstraint(["message_id"], ["messages.message_id"], name="fk_outbox_selectors_message_id"),
    )
    op.add_column("outbox_recipients", sa.Column("selected", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("directory_agencies", sa.Column("folded", sa.Text, nullable=False, server_default=""))
    _fold_names()


def _fold_names() -> None:
    """Make the names that are here searchable; those that come later are folded as they come."""
    agencies = sa.table("directory_agencies", *map(sa.column, ("code", "since", "name", "folded")))
    connection = op.get_bind()
    fold = (
        sa.update(agencies)
        .where(agencies.c.code == sa.bindparam("of_code"), agencies.c.since == sa.bindparam("of_since"))
        .values(folded=sa.bindparam("text"))
    )
    after = ("", 0)
    while rows := connection.execute(
        sa.select(agencies.c.code, agencies.c.since, agencies.c.name)
        .where(sa.tuple_(agencies.c.code, agencies.c.since) > after)
        .order_by(agencies.c.code, agencies.c.since)
        .limit(_TOGETHER)
    ).all():
        connection.execute(
            fold, [{"of_code": row.code, "of_since": row.since, "text": folded(row.name)} for row in rows]
        )
        after = (rows[-1].code, rows[-1].since)
