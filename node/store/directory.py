"""The copy of the directory, read as it stands or as of any version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy import BindParameter, ColumnElement, Integer, String, Table, bindparam, func, or_, select, type_coerce

from certs.signed_directory import AppliedVersion
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
from runtime.prepared import Prepared
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, AnchorEntry, EntryStatus
from schemas.envelope import Sha256Hex


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


def applied(transaction: Transaction, number: int) -> AppliedVersion | None:
    """The version `number`, if it is here."""
    digest: Sha256Hex | None = _APPLIED.scalar(transaction, {"of_number": number})
    return None if digest is None else AppliedVersion(number, digest)


def agency(transaction: Transaction, code: AgencyCode, version: int | None = None) -> AgencyEntry | None:
    """The entry of a code, today's or an older one, as of `version` (None: the newest). Today's codes come first."""
    found = _agency(transaction, code, version)
    if found is not None:
        return found
    current: AgencyCode | None = transaction.scalar(
        select(directory_older_codes.c.code)
        .where(directory_older_codes.c.older_code == code, holds(directory_older_codes, version))
        .limit(1)
    )
    return None if current is None else _agency(transaction, current, version)


def _agency(transaction: Transaction, code: AgencyCode, version: int | None) -> AgencyEntry | None:
    questions, as_of = _asked(version)
    row = questions.entry.first(transaction, {"of_code": code, **as_of})
    if row is None:
        return None
    older_codes = questions.older_codes.scalars(transaction, {"of_code": code, **as_of})
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
    questions, as_of = _asked(version)
    connection_status = questions.status.scalar(transaction, {"of_connection": entry.connection, **as_of})
    certificates = questions.certificates.all(transaction, {"of_connection": entry.connection, **as_of})
    # Whose connection is suspended or unknown can neither send nor receive, whatever its own entry says.
    served = entry.status is not EntryStatus.ACTIVE or connection_status == EntryStatus.ACTIVE
    return Standing(
        entry,
        {row.fingerprint: row.certificate for row in certificates},
        entry.status if served else EntryStatus.SUSPENDED,
    )


def anchors(transaction: Transaction, version: int | None = None) -> tuple[AnchorEntry, ...]:
    """The trust anchors that hold as of `version`."""
    rows = transaction.execute(select(directory_anchors).where(holds(directory_anchors, version)))
    return tuple(AnchorEntry(certificate=row.certificate, prefixes=tuple(row.prefixes)) for row in rows if row.prefixes)


def served_codes(transaction: Transaction, connection: str) -> tuple[AgencyCode, ...]:
    """The codes of the active agencies that `connection` serves, sorted."""
    return tuple(
        transaction.scalars(
            select(directory_agencies.c.code)
            .where(
                directory_agencies.c.connection == connection,
                directory_agencies.c.status == EntryStatus.ACTIVE,
                holds(directory_agencies, None),
            )
            .order_by(directory_agencies.c.code)
        )
    )


def codes_of(transaction: Transaction, connection: str) -> tuple[AgencyCode, ...]:
    """The codes of all agencies of `connection`, also those suspended or retired, sorted."""
    return tuple(
        transaction.scalars(
            select(directory_agencies.c.code)
            .where(directory_agencies.c.connection == connection, holds(directory_agencies, None))
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
            .where(text >= beginning, text < after, holds(directory_agencies, None))
            .limit(limit)
        )
    )


def expiry(transaction: Transaction) -> datetime | None:
    """Until when the newest version was meant to be relied on; None before the first."""
    expires_at: datetime | None = transaction.scalar(
        select(directory_versions.c.expires_at).order_by(directory_versions.c.number.desc()).limit(1)
    )
    return expires_at


def newest_since(transaction: Transaction) -> datetime | None:
    """Since when the newest version is the newest; None before the first."""
    issued_at: datetime | None = transaction.scalar(
        select(directory_versions.c.issued_at).order_by(directory_versions.c.number.desc()).limit(1)
    )
    return issued_at


def state(transaction: Transaction) -> DirectoryState:
    """How the copy stands. It counts every agency: for people, not for the way of a document."""
    row = transaction.execute(
        select(directory_versions.c.number, directory_versions.c.expires_at, directory_versions.c.applied_at)
        .order_by(directory_versions.c.number.desc())
        .limit(1)
    ).one_or_none()
    agencies = select(func.count()).select_from(directory_agencies).where(holds(directory_agencies, None))
    return DirectoryState(
        version=row.number if row else 0,
        latest=max(contact.latest_directory(transaction), row.number if row else 0),
        expires_at=row.expires_at if row else None,
        agencies=transaction.execute(agencies).scalar_one(),
        applied_at=row.applied_at if row else None,
    )


def holds(table: Table, version: int | BindParameter[int] | None) -> ColumnElement[bool]:
    """The rows of `table` that hold as of `version`; the newest if it is None."""
    if version is None:
        return table.c.until.is_(None)
    return (table.c.since <= version) & or_(table.c.until.is_(None), table.c.until > version)


@dataclass(frozen=True, slots=True)
class _Questions:
    """What is asked of an agency and of its connection for every message and receipt: built once."""

    entry: Prepared
    older_codes: Prepared
    status: Prepared
    certificates: Prepared

    @classmethod
    def about(cls, version: BindParameter[int] | None) -> Self:
        agencies, older = directory_agencies.c, directory_older_codes.c
        connections, certificates = directory_connections.c, directory_certificates.c
        return cls(
            entry=Prepared(
                select(directory_agencies).where(
                    agencies.code == bindparam("of_code"), holds(directory_agencies, version)
                )
            ),
            older_codes=Prepared(
                select(older.older_code)
                .where(older.code == bindparam("of_code"), holds(directory_older_codes, version))
                .order_by(older.older_code)
            ),
            status=Prepared(
                select(connections.status).where(
                    connections.connection == bindparam("of_connection"), holds(directory_connections, version)
                )
            ),
            certificates=Prepared(
                select(certificates.fingerprint, certificates.certificate).where(
                    certificates.connection == bindparam("of_connection"), holds(directory_certificates, version)
                )
            ),
        )


_NOW = _Questions.about(None)
_AS_OF = _Questions.about(bindparam("as_of", type_=Integer))


def _asked(version: int | None) -> tuple[_Questions, Mapping[str, int]]:
    """The questions, and their value that says as of which version."""
    return (_NOW, {}) if version is None else (_AS_OF, {"as_of": version})


_APPLIED = Prepared(select(directory_versions.c.digest).where(directory_versions.c.number == bindparam("of_number")))
_VERSION_AT = Prepared(
    select(directory_versions.c.number)
    .where(directory_versions.c.issued_at <= bindparam("at"))
    .order_by(directory_versions.c.number.desc())
    .limit(1)
)


def version_at(transaction: Transaction, at: datetime) -> int | None:
    """The version that was the newest at the time `at`; None if there was none yet."""
    number: int | None = _VERSION_AT.scalar(transaction, {"at": at})
    return number
