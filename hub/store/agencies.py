"""Agencies: codes of today and older ones, and the connection that serves each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, insert, literal, or_, select, update

from certs.trust import SignerBinding
from hub.store.directory_tables import agencies, connections, older_codes, seal_certificates
from hub.store.metadata import Transaction
from runtime.prepared import Prepared
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, EntryStatus

#: Up to so many codes are asked for one by one, by a statement that is prepared.
_FEW = 4

#: How many codes one statement asks for; SQLite takes 32,766 parameters, short statements are compiled faster.
_LOOKUP = 500

#: The character after the dot: codes below `H23` lie between `H23.` and `H23/`, and nothing else does.
_AFTER_DOT = "/"


@dataclass(frozen=True, slots=True)
class ResolvedAgency:
    """An agency by its code of today, and the connection that serves it."""

    code: str
    status: EntryStatus
    connection: str
    connection_status: EntryStatus

    @property
    def reach(self) -> EntryStatus:
        """Whether anything can be sent to it: an agency is no more active than the connection that serves it."""
        return self.status if self.status is not EntryStatus.ACTIVE else self.connection_status


class AgencyBelow(NamedTuple):
    """An agency below a prefix, of which there may be a hundred thousand; active if something can be sent to it."""

    code: str
    connection: str
    is_active: bool


def resolve(transaction: Transaction, codes: Iterable[str]) -> dict[str, ResolvedAgency]:
    """The agencies that `codes`, of today or older, name; keyed by the code asked for. Unknown codes are left out."""
    wanted = list(dict.fromkeys(codes))
    found: dict[str, ResolvedAgency] = {}
    for start in range(0, len(wanted), _LOOKUP):
        batch = wanted[start : start + _LOOKUP]
        if len(batch) <= _FEW:
            found.update((row.asked, _resolved(row)) for code in batch for row in _named(transaction, code))
            continue
        found.update((row.asked, _resolved(row)) for row in transaction.execute(_BY_CODE, {"codes": batch}))
        rest = [code for code in batch if code not in found]
        if rest:
            found.update((row.asked, _resolved(row)) for row in transaction.execute(_BY_OLDER_CODE, {"codes": rest}))
    return found


def _named(transaction: Transaction, code: str) -> Sequence[Any]:
    return _OF_CODE.all(transaction, {"of_code": code}) or _OF_OLDER_CODE.all(transaction, {"of_code": code})


def below(transaction: Transaction, prefix: str) -> Iterator[AgencyBelow]:
    """Every agency at or below `prefix`, by code; all of them for `""`. Read it inside the transaction."""
    statement = _resolving(agencies.c.code).where(at_or_below(prefix)).order_by(agencies.c.code)
    return (
        AgencyBelow(code, connection, status == EntryStatus.ACTIVE == connection_status)
        for _, code, status, connection, connection_status in transaction.execute(statement)
    )


def signer_binding(transaction: Transaction, code: AgencyCode) -> SignerBinding | None:
    """Which certificates may seal for `code`, of today or older; None for an unknown agency."""
    agency = resolve(transaction, [code.value]).get(code.value)
    return None if agency is None else signer_binding_of(transaction, agency)


def signer_binding_of(transaction: Transaction, agency: ResolvedAgency) -> SignerBinding:
    """Which certificates may seal for an agency that was looked up already."""
    seals = _SEALS.scalars(transaction, {"of_connection": agency.connection})
    return SignerBinding(AgencyCode(agency.code), agency.reach, frozenset(seals))


def add(transaction: Transaction, entry: AgencyEntry, *, at: datetime) -> None:
    """Add a new agency. The caller has seen that none of its codes is taken."""
    transaction.execute(
        insert(agencies).values(
            code=entry.code.value, name=entry.name, connection=entry.connection, status=entry.status, added_at=at
        )
    )
    if entry.older_codes:
        transaction.execute(
            insert(older_codes), [{"older_code": older.value, "code": entry.code.value} for older in entry.older_codes]
        )


def set_status(transaction: Transaction, code: AgencyCode, status: EntryStatus) -> None:
    """Set the status of the agency whose code of today is `code`."""
    transaction.execute(update(agencies).where(agencies.c.code == code.value).values(status=status))


def rename(transaction: Transaction, code: AgencyCode, name: str) -> None:
    """Give the agency whose code of today is `code` another name."""
    transaction.execute(update(agencies).where(agencies.c.code == code.value).values(name=name))


def set_connection(transaction: Transaction, code: AgencyCode, connection: str) -> None:
    """Let `connection` serve the agency whose code of today is `code`."""
    transaction.execute(update(agencies).where(agencies.c.code == code.value).values(connection=connection))


def find(transaction: Transaction, code: AgencyCode) -> AgencyEntry | None:
    """The agency that `code`, of today or older, names."""
    agency = resolve(transaction, [code.value]).get(code.value)
    return _entries(transaction, _rows().where(agencies.c.code == agency.code))[0] if agency else None


def entries(transaction: Transaction, codes: Sequence[str]) -> list[AgencyEntry]:
    """The agencies whose codes of today are `codes`."""
    return [
        entry
        for start in range(0, len(codes), _LOOKUP)
        for entry in _entries(transaction, _rows().where(agencies.c.code.in_(codes[start : start + _LOOKUP])))
    ]


def page(transaction: Transaction, *, prefix: str, after: str, limit: int) -> list[AgencyEntry]:
    """The next `limit` agencies at or below `prefix` whose codes come after `after`, by code."""
    statement = _rows().where(at_or_below(prefix), agencies.c.code > after).order_by(agencies.c.code).limit(limit)
    return _entries(transaction, statement)


def served_by(transaction: Transaction, connection: str) -> tuple[AgencyCode, ...]:
    """The codes that `connection` serves and that are not retired, in order."""
    codes = (
        select(agencies.c.code)
        .where(agencies.c.connection == connection, agencies.c.status != EntryStatus.RETIRED)
        .order_by(agencies.c.code)
    )
    return tuple(AgencyCode(code) for code in transaction.scalars(codes))


def at_or_below(prefix: str) -> ColumnElement[bool]:
    """A condition on `agencies.code` that the primary key's index answers."""
    if not prefix:
        return literal(True)
    code = agencies.c.code
    return or_(code == prefix, and_(code > f"{prefix}.", code < prefix + _AFTER_DOT))


def _resolving(asked: ColumnElement[str]) -> Select[str, str, str, str, str]:
    return select(
        asked.label("asked"),
        agencies.c.code,
        agencies.c.status,
        agencies.c.connection,
        connections.c.status.label("connection_status"),
    ).join_from(agencies, connections, connections.c.connection == agencies.c.connection)


# Asked for every submission and every report: built once.
_BY_CODE = _resolving(agencies.c.code).where(agencies.c.code.in_(bindparam("codes", expanding=True)))
_BY_OLDER_CODE = (
    _resolving(older_codes.c.older_code)
    .join(older_codes, older_codes.c.code == agencies.c.code)
    .where(older_codes.c.older_code.in_(bindparam("codes", expanding=True)))
)
_OF_CODE = Prepared(_resolving(agencies.c.code).where(agencies.c.code == bindparam("of_code")))
_OF_OLDER_CODE = Prepared(
    _resolving(older_codes.c.older_code)
    .join(older_codes, older_codes.c.code == agencies.c.code)
    .where(older_codes.c.older_code == bindparam("of_code"))
)
_SEALS = Prepared(
    select(seal_certificates.c.fingerprint).where(seal_certificates.c.connection == bindparam("of_connection"))
)


def _resolved(row: Row[str, str, str, str, str]) -> ResolvedAgency:
    return ResolvedAgency(row.code, EntryStatus(row.status), row.connection, EntryStatus(row.connection_status))


def _rows() -> Select[str, str, str, str]:
    return select(agencies.c.code, agencies.c.name, agencies.c.connection, agencies.c.status)


def _entries(transaction: Transaction, statement: Select[str, str, str, str]) -> list[AgencyEntry]:
    rows = transaction.execute(statement).all()
    older = _older_codes_of(transaction, [row.code for row in rows])
    return [
        AgencyEntry(
            code=AgencyCode(row.code),
            name=row.name,
            older_codes=tuple(older.get(row.code, ())),
            connection=row.connection,
            status=EntryStatus(row.status),
        )
        for row in rows
    ]


def _older_codes_of(transaction: Transaction, codes: Sequence[str]) -> dict[str, list[AgencyCode]]:
    older: dict[str, list[AgencyCode]] = {}
    for start in range(0, len(codes), _LOOKUP):
        statement = (
            select(older_codes.c.code, older_codes.c.older_code)
            .where(older_codes.c.code.in_(codes[start : start + _LOOKUP]))
            .order_by(older_codes.c.older_code)
        )
        for row in transaction.execute(statement):
            older.setdefault(row.code, []).append(AgencyCode(row.older_code))
    return older
