"""The agency directory, admission and the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Compared byte by byte, so that the codes below a prefix are one range of the index.
CODE = sa.String(35).with_variant(sa.String(35, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "hub_state",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("epoch", sa.String(32), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("probed_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_hub_state"),
        sa.CheckConstraint("id = 1", name="ck_hub_state_only"),
    )
    op.create_table(
        "connections",
        sa.Column("connection", sa.String(64), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("connection", name="pk_connections"),
    )
    op.create_table(
        "agencies",
        sa.Column("code", CODE, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("connection", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("added_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("code", name="pk_agencies"),
        sa.ForeignKeyConstraint(["connection"], ["connections.connection"], name="fk_agencies_connection"),
    )
    op.create_index("ix_agencies_connection_code", "agencies", ["connection", "code"])
    op.create_table(
        "older_codes",
        sa.Column("older_code", CODE, nullable=False),
        sa.Column("code", CODE, nullable=False),
        sa.PrimaryKeyConstraint("older_code", name="pk_older_codes"),
        sa.ForeignKeyConstraint(["code"], ["agencies.code"], name="fk_older_codes_code"),
    )
    op.create_index("ix_older_codes_code", "older_codes", ["code"])
    op.create_table(
        "seal_certificates",
        sa.Column("connection", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("certificate", sa.LargeBinary, nullable=False),
        sa.Column("added_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("connection", "fingerprint", name="pk_seal_certificates"),
        sa.ForeignKeyConstraint(["connection"], ["connections.connection"], name="fk_seal_certificates_connection"),
    )
    op.create_table(
        "client_certificates",
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("connection", sa.String(64), nullable=False),
        sa.Column("not_after", sa.BigInteger, nullable=False),
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_client_certificates"),
        sa.ForeignKeyConstraint(["connection"], ["connections.connection"], name="fk_client_certificates_connection"),
    )
    op.create_index("ix_client_certificates_connection", "client_certificates", ["connection"])
    op.create_table(
        "trust_anchors",
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("certificate", sa.LargeBinary, nullable=False),
        sa.Column("prefixes", sa.JSON, nullable=False),
        sa.Column("added_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_trust_anchors"),
    )
    op.create_table(
        "directory_versions",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_directory_versions"),
    )
    op.create_table(
        "enrolment_tokens",
        sa.Column("secret_digest", sa.String(64), nullable=False),
        sa.Column("connection", sa.String(64), nullable=False),
        sa.Column("withdraw_seals", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger),
        sa.Column("request_digest", sa.String(64)),
        sa.Column("answer", sa.LargeBinary),
        sa.PrimaryKeyConstraint("secret_digest", name="pk_enrolment_tokens"),
        sa.ForeignKeyConstraint(["connection"], ["connections.connection"], name="fk_enrolment_tokens_connection"),
    )
    op.create_index("ix_enrolment_tokens_connection", "enrolment_tokens", ["connection"])
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
    )
    op.create_index("ix_audit_log_subject_id", "audit_log", ["subject", "id"])
