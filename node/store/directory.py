"""The copy of the directory: versions applied whole, and read as of any of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Column, ColumnElement, String, Table, func, insert, or_, select, type_coerce, update

from certs.signed_directory import AppliedVersion, VerifiedVersion
from node.store import contact
from node.store.directory_tables import (
    directory_agencies,
    directory_anchors,
    directory_certificates,
    directory_connections,
    directory_older_codes,
    directory_versions,
)
from node.store.metadata import Transaction
from node.store.records import DirectoryState
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, AnchorEntry, ConnectionEntry, EntryStatus
from schemas.envelope import Sha256Hex

#: Rows or keys in one statement: fewer round trips, and well below what a statement may bind.
_TOGETHER = 1000


@dataclass(frozen=True, slots=True)
class Standing:
    """What the directory says of an agency and of the connection that serves it; `status` is that of both together."""

    agency: AgencyEntry
    certificates: dict[Sha256Hex, bytes]
    status: EntryStatus


def head(transaction: Transaction) -> AppliedVersion | None:
    """The newest version here; None before the first."""
    row = transaction.execute(
        select(directory_versions.c.number, directory_versions.c.digest)
        .order_by(directory_versions.c.number.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else AppliedVersion(row.number, row.digest)


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
    return True


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


def _end(transaction: Transaction, key: Column[Any], values: Sequence[object], number: int) -> None:
    """What holds of these keys is replaced by version `number`."""
    for start in range(0, len(values), _TOGETHER):
        chunk = values[start : start + _TOGETHER]
        transaction.execute(update(key.table).where(key.in_(chunk), key.table.c.until.is_(None)).values(until=number))


def _insert(transaction: Transaction, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    left = iter(rows)
    while chunk := list(islice(left, _TOGETHER)):
        transaction.execute(insert(table), chunk)


def agency(transaction: Transaction, code: AgencyCode, version: int | None = None) -> AgencyEntry | None:
    """The entry of a code, today's or an older one, as of `version` (None: the newest). Today's codes come first."""
    found = _agency(transaction, code, version)
    if found is not None:
        return found
    current: AgencyCode | None = transaction.scalar(
        select(directory_older_codes.c.code)
        .where(directory_older_codes.c.older_code == code, _holds(directory_older_codes, version))
        .limit(1)
    )
    return None if current is None else _agency(transaction, current, version)


def _agency(transaction: Transaction, code: AgencyCode, version: int | None) -> AgencyEntry | None:
    row = transaction.execute(
        select(directory_agencies).where(directory_agencies.c.code == code, _holds(directory_agencies, version))
    ).one_or_none()
    if row is None:
        return None
    older_codes = transaction.scalars(
        select(directory_older_codes.c.older_code)
        .where(directory_older_codes.c.code == code, _holds(directory_older_codes, version))
        .order_by(directory_older_codes.c.older_code)
    )
    return AgencyEntry(
        code=row.code,
        name=row.name,
        older_codes=tuple(older_codes),
        connection=row.connection,
        status=EntryStatus(row.status),
    )


def standing(transaction: Transaction, code: AgencyCode, version: int | None = None) -> Standing | None:
    """The agency of a code with the certificates that may seal for it, as of `version`; None if it is not known."""
    entry = agency(transaction, code, version)
    if entry is None:
        return None
    connection_status = transaction.scalar(
        select(directory_connections.c.status).where(
            directory_connections.c.connection == entry.connection, _holds(directory_connections, version)
        )
    )
    certificates = transaction.execute(
        select(directory_certificates.c.fingerprint, directory_certificates.c.certificate).where(
            directory_certificates.c.connection == entry.connection, _holds(directory_certificates, version)
        )
    )
    # Whose connection is suspended or unknown can neither send nor receive, whatever its own entry says.
    served = entry.status is not EntryStatus.ACTIVE or connection_status == EntryStatus.ACTIVE
    return Standing(
        entry,
        {row.fingerprint: row.certificate for row in certificates},
        entry.status if served else EntryStatus.SUSPENDED,
    )


def anchors(transaction: Transaction, version: int | None = None) -> tuple[AnchorEntry, ...]:
    """The trust anchors that hold as of `version`."""
    rows = transaction.execute(select(directory_anchors).where(_holds(directory_anchors, version)))
    return tuple(AnchorEntry(certificate=row.certificate, prefixes=tuple(row.prefixes)) for row in rows if row.prefixes)


def served_codes(transaction: Transaction, connection: str) -> tuple[AgencyCode, ...]:
    """The codes of the active agencies that `connection` serves, sorted."""
    return tuple(
        transaction.scalars(
            select(directory_agencies.c.code)
            .where(
                directory_agencies.c.connection == connection,
                directory_agencies.c.status == EntryStatus.ACTIVE,
                _holds(directory_agencies, None),
            )
            .order_by(directory_agencies.c.code)
        )
    )


def codes_near(transaction: Transaction, code: AgencyCode, *, limit: int) -> tuple[AgencyCode, ...]:
    """Some codes that begin as `code` does (its first two characters), to guess a mistyped one from."""
    root = code.root.parts[-1]
    beginning, after = root[:2], root[0] + chr(ord(root[1]) + 1)
    text = type_coerce(directory_agencies.c.code, String)
    return tuple(
        transaction.scalars(
            select(directory_agencies.c.code)
            .where(text >= beginning, text < after, _holds(directory_agencies, None))
            .limit(limit)
        )
    )


def state(transaction: Transaction) -> DirectoryState:
    row = transaction.execute(
        select(directory_versions.c.number, directory_versions.c.expires_at, directory_versions.c.applied_at)
        .order_by(directory_versions.c.number.desc())
        .limit(1)
    ).one_or_none()
    agencies = select(func.count()).select_from(directory_agencies).where(_holds(directory_agencies, None))
    return DirectoryState(
        version=row.number if row else 0,
        latest=max(contact.latest_directory(transaction), row.number if row else 0),
        expires_at=row.expires_at if row else None,
        agencies=transaction.execute(agencies).scalar_one(),
        applied_at=row.applied_at if row else None,
    )


def _holds(table: Table, version: int | None) -> ColumnElement[bool]:
    """The rows of `table` that hold as of `version`; the newest if it is None."""
    if version is None:
        return table.c.until.is_(None)
    return (table.c.since <= version) & or_(table.c.until.is_(None), table.c.until > version)


def _fingerprint(certificate: bytes) -> Sha256Hex:
    return hashlib.sha256(certificate).hexdigest()


def version_at(transaction: Transaction, at: datetime) -> int | None:
    """The version that was the newest at the time `at`; None if there was none yet."""
    number: int | None = transaction.scalar(
        select(directory_versions.c.number)
        .where(directory_versions.c.issued_at <= at)
        .order_by(directory_versions.c.number.desc())
        .limit(1)
    )
    return number
