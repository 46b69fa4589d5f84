"""One-time tokens: known by the digest of their secret, spent once, the answer kept for repeats."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from hub.store.directory_tables import enrolment_tokens
from hub.store.metadata import Transaction
from schemas.envelope import Sha256Hex


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token as it stands. A spent one has the digest of the request it was spent on, and the answer given."""

    secret_digest: Sha256Hex
    connection: str
    withdraw_seals: bool
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    request_digest: Sha256Hex | None
    answer: bytes | None


def issue(
    transaction: Transaction,
    secret_digest: Sha256Hex,
    connection: str,
    *,
    withdraw_seals: bool,
    at: datetime,
    expires_at: datetime,
) -> None:
    """Add a token for `connection`; those it has and did not use are void from now on."""
    transaction.execute(
        delete(enrolment_tokens).where(
            enrolment_tokens.c.connection == connection, enrolment_tokens.c.used_at.is_(None)
        )
    )
    transaction.execute(
        insert(enrolment_tokens).values(
            secret_digest=secret_digest,
            connection=connection,
            withdraw_seals=withdraw_seals,
            created_at=at,
            expires_at=expires_at,
        )
    )


def find(transaction: Transaction, secret_digest: Sha256Hex) -> TokenRow | None:
    row = transaction.execute(
        select(enrolment_tokens).where(enrolment_tokens.c.secret_digest == secret_digest)
    ).one_or_none()
    return None if row is None else TokenRow(**row._mapping)  # noqa: SLF001 - a Row's mapping is public under this name


def latest(transaction: Transaction, connection: str) -> TokenRow | None:
    """The newest token of `connection`, used or not."""
    row = transaction.execute(
        select(enrolment_tokens)
        .where(enrolment_tokens.c.connection == connection)
        .order_by(enrolment_tokens.c.created_at.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else TokenRow(**row._mapping)  # noqa: SLF001 - as above


def spend(
    transaction: Transaction, secret_digest: Sha256Hex, *, request_digest: Sha256Hex, answer: bytes, at: datetime
) -> None:
    """Note that the token was spent on a request, and what that was answered."""
    transaction.execute(
        update(enrolment_tokens)
        .where(enrolment_tokens.c.secret_digest == secret_digest)
        .values(used_at=at, request_digest=request_digest, answer=answer)
    )
