"""Groups of recipients; and the fan-out of a long list as a row for each batch, where it was one text that grew."""

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from hub.store.metadata import code_text
from runtime.columns import Instant

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

#: As many deliveries as the setting's default writes at a time.
_BATCH = 500


def upgrade() -> None:
    op.create_table(
        "recipient_groups",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("changed_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_recipient_groups"),
    )
    op.create_table(
        "group_members",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("member", code_text(), nullable=False),
        sa.PrimaryKeyConstraint("name", "member", name="pk_group_members"),
        sa.ForeignKeyConstraint(["name"], ["recipient_groups.name"], name="fk_group_members_name"),
        sqlite_with_rowid=False,
    )
    row_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    batches = op.create_table(
        "fanout_batches",
        sa.Column("message", row_number, nullable=False, autoincrement=False),
        sa.Column("batch", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("lane", sa.SmallInteger, nullable=False),
        sa.Column("targets", sa.Text, nullable=False),
        sa.Column("entries", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("message", "batch", name="pk_fanout_batches"),
        sa.ForeignKeyConstraint(["message"], ["messages.message"], name="fk_fanout_batches_message"),
    )
    op.create_index("ix_fanout_batches_lane_message_batch", "fanout_batches", ["lane", "message", "batch"])
    connection = op.get_bind()
    fanouts = sa.table("fanouts", *map(sa.column, ("message", "lane", "targets", "position")))
    for row in connection.execute(sa.select(fanouts)).all():
        connection.execute(sa.insert(batches), list(_batches(row)))
    op.drop_table("fanouts")


def _batches(row: sa.Row[Any]) -> Iterator[dict[str, object]]:
    """What a fan-out had left, in batches; each connection is entered with the last of its recipients."""
    lines = [line.rsplit(" ", 1) for line in row.targets.split("\n")]
    served: dict[str, list[str]] = {}
    for connection, code in lines:
        served.setdefault(connection, []).append(code)
    for number, start in enumerate(range(row.position, len(lines), _BATCH), start=1):
        part = lines[start : start + _BATCH]
        complete = [name for name, codes in served.items() if [name, codes[-1]] in part]
        yield {
            "message": row.message,
            "batch": number,
            "lane": row.lane,
            "targets": json.dumps(part),
            "entries": json.dumps([[name, "\n".join(served[name])] for name in complete]),
        }
