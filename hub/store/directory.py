"""The signed directory, version by version, and the anchors that seals are believed under."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from sqlalchemy import delete, func, insert, select

from certs.trust import TrustAnchor
from hub.store.directory_tables import directory_versions, trust_anchors
from hub.store.metadata import Transaction
from runtime.columns import insert_or
from runtime.prepared import Prepared
from schemas.envelope import Sha256Hex


@dataclass(frozen=True, slots=True)
class VersionHead:
    """What the next version must follow."""

    number: int
    digest: Sha256Hex
    expires_at: datetime


def anchors(transaction: Transaction) -> tuple[TrustAnchor, ...]:
    """The trust anchors that hold for any code at all."""
    rows = transaction.execute(
        select(trust_anchors.c.certificate, trust_anchors.c.prefixes).order_by(trust_anchors.c.fingerprint)
    )
    return tuple(
        TrustAnchor(x509.load_der_x509_certificate(row.certificate), tuple(row.prefixes))
        for row in rows
        if row.prefixes
    )


def put_anchor(
    transaction: Transaction, fingerprint: Sha256Hex, certificate: bytes, prefixes: tuple[str, ...], *, at: datetime
) -> None:
    """Believe the anchor `certificate` (DER) for `prefixes` from now on, and for no others."""
    statement = insert_or(transaction, trust_anchors).values(
        fingerprint=fingerprint, certificate=certificate, prefixes=list(prefixes), added_at=at
    )
    transaction.execute(
        statement.on_conflict_do_update(
            index_elements=[trust_anchors.c.fingerprint], set_={"prefixes": statement.excluded.prefixes}
        )
    )


def forget(transaction: Transaction) -> None:
    """Take back anchors and versions, of a hub that never came to be."""
    transaction.execute(delete(trust_anchors))
    transaction.execute(delete(directory_versions))


_NEWEST = Prepared(select(func.max(directory_versions.c.number)))


def directory_version(transaction: Transaction) -> int:
    """The number of the newest version, 0 before the first."""
    return _NEWEST.scalar(transaction, {}) or 0


def head(transaction: Transaction) -> VersionHead | None:
    """The newest version, None before the first."""
    row = transaction.execute(
        select(directory_versions.c.number, directory_versions.c.digest, directory_versions.c.expires_at).where(
            directory_versions.c.number == select(func.max(directory_versions.c.number)).scalar_subquery()
        )
    ).one_or_none()
    return None if row is None else VersionHead(row.number, row.digest, row.expires_at)


def append(
    transaction: Transaction,
    number: int,
    *,
    digest: Sha256Hex,
    document: bytes,
    issued_at: datetime,
    expires_at: datetime,
) -> None:
    """Add the version after the head, as the bytes that were signed."""
    transaction.execute(
        insert(directory_versions).values(
            number=number, digest=digest, document=document, issued_at=issued_at, expires_at=expires_at
        )
    )


def versions_after(transaction: Transaction, number: int, *, count: int, size: int) -> tuple[bytes, ...]:
    """Signed versions after `number`, in order: at most `count`, and no more once `size` bytes are reached."""
    statement = (
        select(directory_versions.c.document)
        .where(directory_versions.c.number > number)
        .order_by(directory_versions.c.number)
        .limit(count)
    )
    documents: list[bytes] = []
    for document in transaction.scalars(statement):
        documents.append(document)
        size -= len(document)
        if size <= 0:
            break
    return tuple(documents)
