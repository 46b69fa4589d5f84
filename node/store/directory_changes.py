"""Applying versions to the copy of the directory: each whole, in its order, in one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Column, Table, delete, insert, update

from certs.signed_directory import VerifiedVersion
from node.store.directory import head
from node.store.directory_tables import (
    directory_agencies,
    directory_anchors,
    directory_certificates,
    directory_connections,
    directory_groups,
    directory_older_codes,
    directory_versions,
)
from node.store.metadata import Transaction
from schemas.directory import AgencyEntry, AnchorEntry, ConnectionEntry, GroupEntry
from schemas.envelope import Sha256Hex
from schemas.vietnamese import folded

#: What versions say, each row from the version that brought it until the one that replaced it.
_KEPT = (
    directory_agencies,
    directory_older_codes,
    directory_connections,
    directory_certificates,
    directory_anchors,
    directory_groups,
)

#: Rows or keys in one statement: fewer round trips, and well below what a statement may bind.
_TOGETHER = 1000


def apply(transaction: Transaction, verified: VerifiedVersion, *, at: datetime) -> bool:
    """Apply the version that follows on the newest. False, and nothing written, if another process was quicker."""
    version = verified.version
    here = head(transaction)
    if version.number != (here.number if here else 0) + 1:
        return False
    transaction.execute(
        insert(directory_versions).values(
            number=version.number,
            digest=verified.digest,
            issued_at=version.issued_at,
            expires_at=version.expires_at,
            applied_at=at,
            body=verified.data,
        )
    )
    _put_agencies(transaction, version.number, version.agencies)
    _put_connections(transaction, version.number, version.connections)
    _put_anchors(transaction, version.number, version.anchors)
    _put_groups(transaction, version.number, version.groups)
    return True


def rewind(transaction: Transaction, *, to: int) -> None:
    """Forget what came after version `to`, which holds again as it did."""
    for table in _KEPT:
        transaction.execute(delete(table).where(table.c.since > to))
        transaction.execute(update(table).where(table.c.until > to).values(until=None))
    transaction.execute(delete(directory_versions).where(directory_versions.c.number > to))


def _put_agencies(transaction: Transaction, number: int, entries: Sequence[AgencyEntry]) -> None:
    codes = [entry.code for entry in entries]
    _end(transaction, directory_agencies.c.code, codes, number)
    _end(transaction, directory_older_codes.c.code, codes, number)
    _insert(
        transaction,
        directory_agencies,
        (
            {
                "code": entry.code,
                "since": number,
                "name": entry.name,
                "connection": entry.connection,
                "status": entry.status,
                "folded": folded(entry.name),
            }
            for entry in entries
        ),
    )
    _insert(
        transaction,
        directory_older_codes,
        (
            {"older_code": older, "code": entry.code, "since": number}
            for entry in entries
            for older in entry.older_codes
        ),
    )


def _put_connections(transaction: Transaction, number: int, entries: Sequence[ConnectionEntry]) -> None:
    names = [entry.connection for entry in entries]
    _end(transaction, directory_connections.c.connection, names, number)
    _end(transaction, directory_certificates.c.connection, names, number)
    _insert(
        transaction,
        directory_connections,
        (
            {"connection": entry.connection, "since": number, "name": entry.name, "status": entry.status}
            for entry in entries
        ),
    )
    _insert(
        transaction,
        directory_certificates,
        (
            {
                "connection": entry.connection,
                "fingerprint": _fingerprint(certificate),
                "since": number,
                "certificate": certificate,
            }
            for entry in entries
            for certificate in entry.seal_certificates
        ),
    )


def _put_anchors(transaction: Transaction, number: int, entries: Sequence[AnchorEntry]) -> None:
    by_fingerprint = {_fingerprint(entry.certificate): entry for entry in entries}
    _end(transaction, directory_anchors.c.fingerprint, list(by_fingerprint), number)
    _insert(
        transaction,
        directory_anchors,
        (
            {
                "fingerprint": fingerprint,
                "since": number,
                "certificate": entry.certificate,
                "prefixes": list(entry.prefixes),
            }
            for fingerprint, entry in by_fingerprint.items()
        ),
    )


def _put_groups(transaction: Transaction, number: int, entries: Sequence[GroupEntry]) -> None:
    _end(transaction, directory_groups.c.name, [entry.group for entry in entries], number)
    _insert(
        transaction,
        directory_groups,
        (
            {"name": entry.group, "since": number, "title": entry.title, "members": list(entry.members)}
            for entry in entries
        ),
    )


def _end(transaction: Transaction, key: Column[Any], values: Sequence[object], number: int) -> None:
    """What holds of these keys is replaced by version `number`."""
    for start in range(0, len(values), _TOGETHER):
        chunk = values[start : start + _TOGETHER]
        transaction.execute(update(key.table).where(key.in_(chunk), key.table.c.until.is_(None)).values(until=number))


def _insert(transaction: Transaction, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    left = iter(rows)
    while chunk := list(islice(left, _TOGETHER)):
        transaction.execute(insert(table), chunk)


def _fingerprint(certificate: bytes) -> Sha256Hex:
    return hashlib.sha256(certificate).hexdigest()
